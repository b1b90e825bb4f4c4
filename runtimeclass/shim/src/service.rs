//! The task API. Each call finds its process, carries out the request, and responds in containerd's terms.
//!
//! Every call of the API is here. The library responds "not found" to a call that is left out, which containerd reads as
//! "has already ended" and reports as success.

mod responses;

use crate::cgroup::Cgroup;
use crate::events::Events;
use crate::exec::Exec;
use crate::options::Options;
use crate::process::{Process, State};
use crate::refusal::{self, error, not_found};
use crate::registry::Registry;
use crate::request::{CreateRequest, Location, Mount, Stdio};
use crate::task::Task;
use crate::{RUNTIME, stats};
use anyhow::{Context, Result};
use async_trait::async_trait;
use containerd_shim::protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest,
    PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest, ResumeRequest, ShutdownRequest,
    StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse,
    UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim::protos::events::task::TaskExecAdded;
use containerd_shim::util::convert_to_any;
use containerd_shim::{ExitSignal, TtrpcContext, TtrpcResult};
use rustix::process::{Signal, getpid};
use std::path::Path;
use std::sync::Arc;

/// The task service of one server.
pub(crate) struct Service {
    namespace: String,
    tasks: Registry<Task>,
    events: Arc<Events>,
    exit: Arc<ExitSignal>,
}

/// The process that a call names.
enum Target {
    /// A container's first process.
    Init(Arc<Task>),
    /// A process that was added to it.
    Exec(Arc<Task>, Arc<Exec>),
}

impl Target {
    fn process(&self) -> &Process {
        match self {
            Self::Init(task) => &task.process,
            Self::Exec(_, exec) => &exec.process,
        }
    }
}

impl Service {
    pub(crate) fn new(namespace: &str, events: Events, exit: Arc<ExitSignal>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            tasks: Registry::default(),
            events: Arc::new(events),
            exit,
        }
    }

    fn task(&self, id: &str) -> Result<Arc<Task>> {
        let task = self.tasks.get(id);
        task.ok_or_else(|| not_found(format!("the task {id} does not exist")))
    }

    fn target(&self, id: &str, exec_id: &str) -> Result<Target> {
        let task = self.task(id)?;
        if exec_id.is_empty() {
            return Ok(Target::Init(task));
        }
        let exec = task.execs.get(exec_id);
        let exec =
            exec.ok_or_else(|| not_found(format!("the process {exec_id} of {id} does not exist")))?;
        Ok(Target::Exec(task, exec))
    }

    async fn create_task(&self, request: &CreateTaskRequest) -> Result<Arc<Task>> {
        let id = &request.id;
        if !request.checkpoint.is_empty() {
            return Err(refusal::unimplemented(format!(
                "cannot restore {id} from a checkpoint: the runtime {RUNTIME} does not support checkpoints"
            )));
        }
        if self.tasks.get(id).is_some() {
            let message = format!("the task {id} already exists");
            return Err(refusal::already_exists(message));
        }
        let options = Options::of(request.options.as_ref())
            .map_err(|error| refusal::invalid(format!("{error:#}")))?;
        if let Some(path) = &options.shim_cgroup {
            let joined =
                Cgroup::existing(path).and_then(|cgroup| cgroup.add(getpid().as_raw_pid()));
            joined.map_err(|error| {
                refusal::invalid(format!("cannot move the shim's server: {error:#}"))
            })?;
        }
        let create = CreateRequest {
            location: Location::new(&self.namespace, id, Path::new(&request.bundle)),
            rootfs: request.rootfs.iter().map(mount).collect(),
            stdio: Stdio {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
            },
            terminal: request.terminal,
            systemd_cgroup: options.systemd_cgroup,
            cache: options.cache_directory,
        };
        let task = Task::create(create, self.events.clone()).await?;
        let pid = task.process.pid();
        log::info!("container created container={id} pid={pid}");
        self.tasks.insert(id, task.clone());
        Ok(task)
    }

    async fn add_exec(&self, request: ExecProcessRequest) -> Result<()> {
        let task = self.task(&request.id)?;
        let description = text(&request.spec.value).context("cannot read the process to add")?;
        let stdio = Stdio {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
        };
        let exec = Exec::new(&request.exec_id, stdio, request.terminal, description);
        if !task.execs.insert(&request.exec_id, Arc::new(exec)) {
            return Err(refusal::already_exists(format!(
                "the process {} of {} already exists",
                request.exec_id, request.id
            )));
        }
        let added = TaskExecAdded {
            container_id: request.id,
            exec_id: request.exec_id,
            ..Default::default()
        };
        self.events.publish(added).await;
        Ok(())
    }

    async fn delete_target(&self, target: Target) -> Result<DeleteResponse> {
        match target {
            Target::Init(task) => {
                let exit = task.delete().await?;
                self.tasks.remove(&task.location.id);
                let pid = task.process.pid();
                self.events
                    .publish(responses::deleted(&task.location.id, pid, &exit))
                    .await;
                Ok(responses::delete(pid, Some(exit)))
            }
            Target::Exec(task, exec) => {
                let exit = exec.delete().await?;
                task.execs.remove(&exec.id);
                Ok(responses::delete(exec.process.pid(), exit))
            }
        }
    }

    async fn kill_target(&self, target: &Target, request: &KillRequest) -> Result<()> {
        // Signal 0 delivers nothing: the caller checks whether the process exists.
        if request.signal == 0 {
            return match target.process().state() {
                State::Stopped(_) => Err(not_found("the process has already ended")),
                State::Created | State::Running => Ok(()),
            };
        }
        let signal = i32::try_from(request.signal)
            .ok()
            .and_then(Signal::from_named_raw)
            .ok_or_else(|| refusal::invalid(format!("unknown signal {}", request.signal)))?;
        let delivered = match target {
            Target::Init(task) => task.signal(signal, request.all).await?,
            Target::Exec(_, exec) => exec.signal(signal).await?,
        };
        if !delivered {
            return Err(not_found("the process has already ended"));
        }
        Ok(())
    }
}

#[async_trait]
impl containerd_shim::Task for Service {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: CreateTaskRequest,
    ) -> TtrpcResult<CreateTaskResponse> {
        let task = self.create_task(&request).await.map_err(error)?;
        let pid = task.process.pid();
        self.events.publish(responses::created(&request, pid)).await;
        Ok(CreateTaskResponse {
            pid: pid as u32,
            ..Default::default()
        })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> TtrpcResult<StartResponse> {
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        let started = match &target {
            Target::Init(task) => task.start(&self.events).await,
            Target::Exec(task, exec) => exec.start(task.enter(), &self.events).await,
        };
        started.map_err(error)?;
        Ok(StartResponse {
            pid: target.process().pid() as u32,
            ..Default::default()
        })
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> TtrpcResult<Empty> {
        self.add_exec(request).await.map_err(error)?;
        Ok(Empty::new())
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> TtrpcResult<Empty> {
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        let killed = self.kill_target(&target, &request).await;
        killed.map_err(error)?;
        Ok(Empty::new())
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> TtrpcResult<WaitResponse> {
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        let exit = target.process().wait().await;
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
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        self.delete_target(target).await.map_err(error)
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> TtrpcResult<StateResponse> {
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        Ok(match &target {
            Target::Init(task) => responses::state(task, None, task.is_paused().await),
            Target::Exec(task, exec) => responses::state(task, Some(exec), false),
        })
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> TtrpcResult<PidsResponse> {
        let task = self.task(&request.id).map_err(error)?;
        Ok(PidsResponse {
            processes: responses::processes(&task)?,
            ..Default::default()
        })
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> TtrpcResult<StatsResponse> {
        let task = self.task(&request.id).map_err(error)?;
        if let State::Stopped(_) = task.process.state() {
            let ended = not_found(format!("the process of {} has ended", request.id));
            return Err(error(ended));
        }
        let metrics = convert_to_any(stats::collect(&task.cgroup))?;
        Ok(StatsResponse {
            stats: Some(metrics).into(),
            ..Default::default()
        })
    }

    /// Describes this server, also without a task, as runc's shim does.
    async fn connect(
        &self,
        _: &TtrpcContext,
        request: ConnectRequest,
    ) -> TtrpcResult<ConnectResponse> {
        let task = self.tasks.get(&request.id);
        Ok(ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: task.map_or(0, |task| task.process.pid() as u32),
            version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        })
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> TtrpcResult<Empty> {
        let (columns, rows) = (request.width, request.height);
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        let resized = match target {
            Target::Init(task) => task.streams.resize(columns, rows),
            Target::Exec(_, exec) => exec.resize(columns, rows),
        };
        resized.map_err(error)?;
        Ok(Empty::new())
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> TtrpcResult<Empty> {
        let target = self.target(&request.id, &request.exec_id).map_err(error)?;
        if request.stdin {
            match target {
                Target::Init(task) => task.streams.close_input(),
                Target::Exec(_, exec) => exec.close_input(),
            }
        }
        Ok(Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> TtrpcResult<Empty> {
        let task = self.task(&request.id).map_err(error)?;
        task.pause(&self.events).await.map_err(error)?;
        Ok(Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> TtrpcResult<Empty> {
        let task = self.task(&request.id).map_err(error)?;
        task.resume(&self.events).await.map_err(error)?;
        Ok(Empty::new())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> TtrpcResult<Empty> {
        let task = self.task(&request.id).map_err(error)?;
        let resources = text(&request.resources.value).context("cannot read the new limits");
        let updated = task.update(resources.map_err(error)?).await;
        updated.map_err(error)?;
        Ok(Empty::new())
    }

    async fn checkpoint(
        &self,
        _: &TtrpcContext,
        request: CheckpointTaskRequest,
    ) -> TtrpcResult<Empty> {
        self.task(&request.id).map_err(error)?;
        Err(error(refusal::unimplemented(format!(
            "cannot checkpoint {}: the runtime {RUNTIME} does not support checkpoints",
            request.id
        ))))
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

/// Returns the text of a message that containerd sends as JSON.
fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| refusal::invalid(error.to_string()))
}
