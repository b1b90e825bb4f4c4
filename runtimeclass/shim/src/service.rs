//! The task API: each call looks up its task, has it do the thing, and answers in containerd's terms. What containerd
//! makes of an error depends on its code: "not found" is an end it was waiting for, anything else is tried again.

use crate::events::Events;
use crate::options::Options;
use crate::request::{Create, Mount, Place, Stdio};
use crate::stats;
use crate::task::{State, Task};
use crate::tasks::Tasks;
use async_trait::async_trait;
use containerd_shim::protos::api::{CloseIORequest, ResizePtyRequest};
use containerd_shim::protos::api::{
    ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse, DeleteRequest,
    DeleteResponse, Empty, ExecProcessRequest, KillRequest, PidsRequest, PidsResponse, ProcessInfo,
    ShutdownRequest, StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest,
    StatsResponse, Status, WaitRequest, WaitResponse,
};
use containerd_shim::protos::events::task::{TaskCreate, TaskDelete, TaskIO};
use containerd_shim::protos::ttrpc::{Code, Error, get_status};
use containerd_shim::util::convert_to_any;
use containerd_shim::{ExitSignal, TtrpcContext, TtrpcResult};
use std::path::Path;
use std::sync::Arc;

/// The service behind one server.
pub(crate) struct Service {
    namespace: String,
    tasks: Tasks,
    events: Arc<Events>,
    exit: Arc<ExitSignal>,
}

impl Service {
    pub(crate) fn new(namespace: &str, events: Events, exit: Arc<ExitSignal>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            tasks: Tasks::default(),
            events: Arc::new(events),
            exit,
        }
    }

    /// The task `id`; a second process of it does not exist yet.
    fn task(&self, id: &str, exec_id: &str) -> TtrpcResult<Arc<Task>> {
        if !exec_id.is_empty() {
            return Err(refused(
                Code::NOT_FOUND,
                format!("{id} has no process {exec_id}: this runtime cannot exec yet"),
            ));
        }
        let task = self.tasks.get(id);
        task.ok_or_else(|| refused(Code::NOT_FOUND, format!("there is no task {id}")))
    }
}

fn refused(code: Code, message: String) -> Error {
    Error::RpcStatus(get_status(code, message))
}

fn failed(error: anyhow::Error) -> Error {
    log::error!("{error:#}");
    refused(Code::UNKNOWN, format!("{error:#}"))
}

#[async_trait]
impl containerd_shim::Task for Service {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: CreateTaskRequest,
    ) -> TtrpcResult<CreateTaskResponse> {
        let id = &request.id;
        if request.terminal {
            return Err(refused(
                Code::UNIMPLEMENTED,
                format!("{id}: this runtime has no terminals: leave out tty"),
            ));
        }
        if !request.checkpoint.is_empty() {
            return Err(refused(
                Code::UNIMPLEMENTED,
                format!("{id}: this runtime restores no checkpoints"),
            ));
        }
        if self.tasks.get(id).is_some() {
            return Err(refused(
                Code::ALREADY_EXISTS,
                format!("there is a task {id} already"),
            ));
        }
        let options = Options::of(request.options.as_ref())
            .map_err(|error| refused(Code::INVALID_ARGUMENT, format!("{error:#}")))?;
        let create = Create {
            place: Place::new(&self.namespace, id, Path::new(&request.bundle)),
            rootfs: request.rootfs.iter().map(mount).collect(),
            stdio: Stdio {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
            },
            systemd_cgroup: options.systemd_cgroup,
            cache: options.cache_directory,
        };
        let task = Task::create(create, self.events.clone())
            .await
            .map_err(failed)?;
        log::info!("{id}: created, process {}", task.pid);
        self.tasks.insert(task.clone());
        self.events.publish(created(&request, &task)).await;
        Ok(CreateTaskResponse {
            pid: task.pid as u32,
            ..Default::default()
        })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> TtrpcResult<StartResponse> {
        let task = self.task(&request.id, &request.exec_id)?;
        task.start(&self.events).await.map_err(failed)?;
        Ok(StartResponse {
            pid: task.pid as u32,
            ..Default::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> TtrpcResult<Empty> {
        let task = self.task(&request.id, &request.exec_id)?;
        let delivered = task.signal(request.signal, request.all).map_err(failed)?;
        if !delivered {
            return Err(refused(
                Code::NOT_FOUND,
                format!("the process of {} has finished already", request.id),
            ));
        }
        Ok(Empty::new())
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> TtrpcResult<WaitResponse> {
        let exit = self.task(&request.id, &request.exec_id)?.wait().await;
        Ok(WaitResponse {
            exit_status: exit.code,
            exited_at: Some(exit.at).into(),
            ..Default::default()
        })
    }

    async fn delete(
        &self,
        _: &TtrpcContext,
        request: DeleteRequest,
    ) -> TtrpcResult<DeleteResponse> {
        let task = self.task(&request.id, &request.exec_id)?;
        if task.state() == State::Running {
            return Err(refused(
                Code::FAILED_PRECONDITION,
                format!("the container {} is running", request.id),
            ));
        }
        let exit = task.delete().await.map_err(failed)?;
        self.tasks.remove(&request.id);
        let deleted = TaskDelete {
            container_id: request.id.clone(),
            id: request.id,
            pid: task.pid as u32,
            exit_status: exit.code,
            exited_at: Some(exit.at.clone()).into(),
            ..Default::default()
        };
        self.events.publish(deleted).await;
        Ok(DeleteResponse {
            pid: task.pid as u32,
            exit_status: exit.code,
            exited_at: Some(exit.at).into(),
            ..Default::default()
        })
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> TtrpcResult<StateResponse> {
        let task = self.task(&request.id, &request.exec_id)?;
        let mut response = StateResponse {
            id: request.id,
            bundle: task.place.bundle.display().to_string(),
            pid: task.pid as u32,
            stdin: task.stdio.stdin.clone(),
            stdout: task.stdio.stdout.clone(),
            stderr: task.stdio.stderr.clone(),
            ..Default::default()
        };
        response.status = match task.state() {
            State::Created => Status::CREATED,
            State::Running => Status::RUNNING,
            State::Stopped(exit) => {
                response.exit_status = exit.code;
                response.exited_at = Some(exit.at).into();
                Status::STOPPED
            }
        }
        .into();
        Ok(response)
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> TtrpcResult<PidsResponse> {
        let task = self.task(&request.id, "")?;
        // systemd removes the cgroup of a container that has ended.
        let mut processes = task.cgroup.processes().unwrap_or_default();
        // A containerd that comes back takes a task without processes for a leak, and forgets how it ended.
        if processes.is_empty() {
            processes.push(task.pid);
        }
        let process = |pid: i32| ProcessInfo {
            pid: pid as u32,
            ..Default::default()
        };
        Ok(PidsResponse {
            processes: processes.into_iter().map(process).collect(),
            ..Default::default()
        })
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> TtrpcResult<StatsResponse> {
        let task = self.task(&request.id, "")?;
        if let State::Stopped(_) = task.state() {
            return Err(refused(
                Code::NOT_FOUND,
                format!("the process of {} has finished", request.id),
            ));
        }
        let metrics = convert_to_any(stats::collect(&task.cgroup))?;
        Ok(StatsResponse {
            stats: Some(metrics).into(),
            ..Default::default()
        })
    }

    async fn connect(
        &self,
        _: &TtrpcContext,
        request: ConnectRequest,
    ) -> TtrpcResult<ConnectResponse> {
        let task_pid = self.task(&request.id, "")?.pid as u32;
        Ok(ConnectResponse {
            shim_pid: std::process::id(),
            task_pid,
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        })
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> TtrpcResult<Empty> {
        let _ = self.task(&request.id, "")?;
        Err(refused(
            Code::UNIMPLEMENTED,
            format!("{}: this runtime cannot exec yet", request.id),
        ))
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> TtrpcResult<Empty> {
        Err(refused(
            Code::UNIMPLEMENTED,
            format!("{}: this runtime has no terminals", request.id),
        ))
    }

    /// The writing end of the input is containerd's; there is nothing of it here to be closed.
    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> TtrpcResult<Empty> {
        let _ = self.task(&request.id, &request.exec_id)?;
        Ok(Empty::new())
    }

    async fn shutdown(&self, _: &TtrpcContext, request: ShutdownRequest) -> TtrpcResult<Empty> {
        if request.now || self.tasks.is_empty() {
            self.exit.signal();
        }
        Ok(Empty::new())
    }
}

fn mount(mount: &containerd_shim::protos::types::mount::Mount) -> Mount {
    Mount {
        kind: mount.type_.clone(),
        source: mount.source.clone(),
        options: mount.options.clone(),
    }
}

fn created(request: &CreateTaskRequest, task: &Task) -> TaskCreate {
    TaskCreate {
        container_id: request.id.clone(),
        bundle: request.bundle.clone(),
        rootfs: request.rootfs.clone(),
        io: Some(TaskIO {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            ..Default::default()
        })
        .into(),
        pid: task.pid as u32,
        ..Default::default()
    }
}
