//! What the task API answers and publishes, made of what is known of a process.

use crate::exec::Exec;
use crate::process::{Exit, State};
use crate::task::Task;
use containerd_shim::TtrpcResult;
use containerd_shim::protos::api::{
    CreateTaskRequest, DeleteResponse, ProcessInfo, StateResponse, Status,
};
use containerd_shim::protos::events::task::{TaskCreate, TaskDelete, TaskIO};
use containerd_shim::protos::shim::oci::ProcessDetails;
use containerd_shim::util::convert_to_any;

/// Answers `State` for a container's first process.
pub(super) fn state(task: &Task, paused: bool) -> StateResponse {
    let response = StateResponse {
        id: task.place.id.clone(),
        bundle: task.place.bundle.display().to_string(),
        pid: task.process.pid() as u32,
        stdin: task.stdio.stdin.clone(),
        stdout: task.stdio.stdout.clone(),
        stderr: task.stdio.stderr.clone(),
        terminal: task.terminal,
        ..Default::default()
    };
    with_status(response, task.process.state(), paused)
}

/// Answers `State` for a second process.
pub(super) fn exec_state(task: &Task, exec: &Exec) -> StateResponse {
    let response = StateResponse {
        id: exec.id.clone(),
        exec_id: exec.id.clone(),
        bundle: task.place.bundle.display().to_string(),
        pid: exec.process.pid() as u32,
        stdin: exec.stdio.stdin.clone(),
        stdout: exec.stdio.stdout.clone(),
        stderr: exec.stdio.stderr.clone(),
        terminal: exec.terminal,
        ..Default::default()
    };
    with_status(response, exec.process.state(), false)
}

fn with_status(mut response: StateResponse, state: State, paused: bool) -> StateResponse {
    let status = match state {
        State::Created => Status::CREATED,
        State::Running if paused => Status::PAUSED,
        State::Running => Status::RUNNING,
        State::Stopped(exit) => {
            response.exit_status = exit.code;
            response.exited_at = Some(exit.at).into();
            Status::STOPPED
        }
    };
    response.status = status.into();
    response
}

/// Answers `Delete`, for a process that never ran without an exit.
pub(super) fn delete(pid: i32, exit: Option<Exit>) -> DeleteResponse {
    let mut response = DeleteResponse {
        pid: pid as u32,
        ..Default::default()
    };
    if let Some(exit) = exit {
        response.exit_status = exit.code;
        response.exited_at = Some(exit.at).into();
    }
    response
}

/// Lists a container's processes, those that were added by `Exec` with their ids.
pub(super) fn processes(task: &Task) -> TtrpcResult<Vec<ProcessInfo>> {
    // systemd removes the cgroup of a container that has ended.
    let mut pids = task.cgroup.processes();
    // A containerd that restarts takes a task without processes for a leak, and forgets how it ended.
    if pids.is_empty() {
        pids.push(task.process.pid());
    }
    let execs = task.execs.all();
    let process = |pid: i32| {
        let mut info = ProcessInfo {
            pid: pid as u32,
            ..Default::default()
        };
        if let Some(exec) = execs.iter().find(|exec| exec.process.pid() == pid) {
            let details = ProcessDetails {
                exec_id: exec.id.clone(),
                ..Default::default()
            };
            info.info = Some(convert_to_any(Box::new(details))?).into();
        }
        Ok(info)
    };
    pids.into_iter().map(process).collect()
}

/// Makes the event of a created container.
pub(super) fn created(request: &CreateTaskRequest, pid: i32) -> TaskCreate {
    TaskCreate {
        container_id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: request.rootfs.clone(),
        io: Some(TaskIO {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
            ..Default::default()
        })
        .into(),
        pid: pid as u32,
        ..Default::default()
    }
}

/// Makes the event of a deleted container.
pub(super) fn deleted(id: &str, pid: i32, exit: &Exit) -> TaskDelete {
    TaskDelete {
        container_id: id.to_owned(),
        id: id.to_owned(),
        pid: pid as u32,
        exit_status: exit.code,
        exited_at: Some(exit.at.clone()).into(),
        ..Default::default()
    }
}
