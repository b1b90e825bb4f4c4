//! Responses and events of the task API, built from the state of a process.

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

/// Returns the response to `State` for an exec, or for the container's first process.
pub(super) fn state(task: &Task, exec: Option<&Exec>, paused: bool) -> StateResponse {
    let (id, exec_id, process) = match exec {
        Some(exec) => (&exec.id, exec.id.clone(), &exec.process),
        None => (&task.location.id, String::new(), &task.process),
    };
    let mut response = StateResponse {
        id: id.clone(),
        exec_id,
        bundle: task.location.bundle.display().to_string(),
        pid: process.pid() as u32,
        stdin: process.stdio.stdin.clone(),
        stdout: process.stdio.stdout.clone(),
        stderr: process.stdio.stderr.clone(),
        terminal: process.terminal,
        ..Default::default()
    };
    let status = match process.state() {
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

/// Returns the response to `Delete`. A process that never ran has no exit.
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

/// Lists a container's processes, with the ids of those that `Exec` added.
pub(super) fn processes(task: &Task) -> TtrpcResult<Vec<ProcessInfo>> {
    // systemd removes the cgroup of a container that has ended.
    let mut pids = task.cgroup.processes();
    // When containerd restarts, it drops a task without processes as leaked, together with its exit code.
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

/// Returns the event of a created container.
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

/// Returns the event of a deleted container.
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
