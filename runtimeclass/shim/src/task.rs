//! One container as a task: created, running, stopped. The states follow the container's first process, not the requests.
//! If that process ends, even before it was started, the task ends and so does every wait for it.

use crate::cgroup::Cgroup;
use crate::entrance::{Access, Entered, Entrance};
use crate::events::Events;
use crate::exec::Exec;
use crate::exits::Exits;
use crate::helper::{self, Spawned};
use crate::process::{Exit, Process, SIGKILL_EXIT_CODE, State};
use crate::refusal;
use crate::registry::Registry;
use crate::request::{CreateRequest, HelperRequest, Location, UpdateRequest};
use crate::signals;
use crate::streams::Streams;
use anyhow::{Context, Result, bail};
use containerd_shim::protos::events::task::{TaskOOM, TaskPaused, TaskResumed, TaskStart};
use rustix::process::Signal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// The time that killed processes may take to end. The kernel needs that long only if a file call hangs.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// A container.
pub(crate) struct Task {
    pub(crate) location: Location,
    pub(crate) cgroup: Cgroup,
    /// The first process.
    pub(crate) process: Process,
    /// The processes that were added, by id.
    pub(crate) execs: Registry<Exec>,
    pub(crate) streams: Streams,
    /// The node's directory of compiled code.
    cache: PathBuf,
    /// The number of OOM kills in the pod when the container was created.
    pod_oom_kills: u64,
    /// Whether containerd has requested a SIGKILL.
    killed: AtomicBool,
    /// Held while the task is started or removed, or its end is reported: one at a time.
    changing: Mutex<()>,
    entrance: Entrance,
}

impl Task {
    /// Creates the container, whose process waits to be started.
    pub(crate) async fn create(create: CreateRequest, events: Arc<Events>) -> Result<Arc<Self>> {
        let streams = Streams::open(&create.stdio, create.terminal)?;
        let process = Process::new(create.stdio.clone(), create.terminal);
        let (location, cache) = (create.location.clone(), create.cache.clone());
        // Before the process exists, so that its end cannot be missed.
        let mut exits = Exits::subscribe().await?;
        let created = helper::call(&HelperRequest::Create(Box::new(create))).await;
        let known = created
            .and_then(Spawned::process)
            .and_then(|(handle, created)| {
                streams.connect(created)?;
                let cgroup = Cgroup::of(handle.pid)?;
                Ok((handle, cgroup))
            });
        let (handle, cgroup) = match known {
            Ok(known) => known,
            Err(error) => {
                // Removes a container that was created in part. The caller gets the first error.
                if let Err(error) = helper::call(&HelperRequest::Delete(location)).await {
                    log::warn!("clean-up failed error=\"{error:#}\"");
                }
                return Err(error);
            }
        };
        let pid = handle.pid;
        process.set_handle(handle);
        let task = Arc::new(Self {
            pod_oom_kills: cgroup.pod_oom_kills(),
            killed: AtomicBool::new(false),
            location,
            cache,
            cgroup,
            process,
            execs: Registry::default(),
            streams,
            changing: Mutex::new(()),
            entrance: Entrance::open(),
        });
        let ending = task.clone();
        tokio::spawn(async move {
            match exits.of(pid).await {
                Ok(code) => ending.ended(code, &events).await,
                Err(error) => {
                    let id = &ending.location.id;
                    log::error!("process lost container={id} error=\"{error:#}\"");
                }
            }
        });
        Ok(task)
    }

    /// Starts the container's process.
    pub(crate) async fn start(&self, events: &Events) -> Result<()> {
        let _changing = self.changing.lock().await;
        match self.process.state() {
            State::Created => {}
            State::Running => return Err(self.refused("has already been started")),
            State::Stopped(exit) => bail!(
                "the container {} ended before it was started, with exit code {}",
                self.location.id,
                exit.code
            ),
        }
        helper::call(&HelperRequest::Start(self.location.clone())).await?;
        self.process.runs();
        events
            .publish(TaskStart {
                container_id: self.location.id.clone(),
                pid: self.process.pid() as u32,
                ..Default::default()
            })
            .await;
        Ok(())
    }

    async fn ended(&self, code: i32, events: &Events) {
        let exit = Exit::now(code);
        let out_of_memory = self.ran_out_of_memory(code);
        self.end_the_others().await;
        self.streams.finish().await;
        self.process.ended(exit.clone());
        let _changing = self.changing.lock().await;
        let id = &self.location.id;
        log::info!("container ended container={id} code={code} out_of_memory={out_of_memory}");
        if out_of_memory {
            // Before the exit: otherwise Kubernetes reports an error instead of OOMKilled.
            events
                .publish(TaskOOM {
                    container_id: id.clone(),
                    ..Default::default()
                })
                .await;
        }
        events.publish_exit(id, id, self.process.pid(), exit).await;
    }

    /// Kills the processes that outlive the first one, and waits until the ends of the added ones are reported.
    ///
    /// The kernel kills them only if the container has a PID namespace of its own. containerd ignores reports about a
    /// container that has ended.
    async fn end_the_others(&self) {
        self.thaw();
        *self.entrance.write().await = Access::Closed;
        signals::send(Signal::KILL, || self.cgroup.processes());
        let gone = async {
            for exec in self.execs.all() {
                exec.reported().await;
            }
        };
        if tokio::time::timeout(KILL_TIMEOUT, gone).await.is_err() {
            let id = &self.location.id;
            log::error!("killed processes still run container={id} after={KILL_TIMEOUT:?}");
        }
    }

    /// Returns whether the container ended because memory ran out.
    ///
    /// The kernel counts OOM kills for each cgroup, before it kills. systemd removes its cgroup with the last process. Then
    /// the pod's counter decides: if it has risen, and the container was killed without a request, memory was the reason.
    fn ran_out_of_memory(&self, code: i32) -> bool {
        match self.cgroup.oom_kills() {
            Some(kills) => kills > 0,
            None => {
                code == SIGKILL_EXIT_CODE
                    && !self.killed.load(Ordering::Relaxed)
                    && self.cgroup.pod_oom_kills() > self.pod_oom_kills
            }
        }
    }

    /// Sends a signal to the first process, or to all processes in the container's cgroup. Returns `false` if the first
    /// process has ended.
    pub(crate) async fn signal(&self, signal: Signal, all: bool) -> Result<bool> {
        if signal == Signal::KILL {
            self.killed.store(true, Ordering::Relaxed);
        }
        if all {
            signals::send(signal, || self.cgroup.processes());
        }
        let delivered = self.process.signal(signal)?;
        if signal == Signal::KILL {
            // A frozen process ends only after it is thawed.
            self.thaw();
        }
        Ok(delivered)
    }

    /// Lets a process enter the container.
    pub(crate) async fn enter(&self) -> Result<Entered<'_>> {
        let access = self.entrance.read().await;
        self.check_open(*access)?;
        Ok(Entered {
            location: &self.location,
            init: self.process.pid(),
            cache: &self.cache,
            _entrance: access,
        })
    }

    fn check_open(&self, access: Access) -> Result<()> {
        match (self.process.state(), access) {
            (State::Stopped(_), _) | (_, Access::Closed) => Err(self.refused("has ended")),
            (_, Access::Paused) => Err(self.refused("is paused: resume it first")),
            (State::Created | State::Running, Access::Open) => Ok(()),
        }
    }

    /// Returns whether the container is paused.
    pub(crate) async fn is_paused(&self) -> bool {
        *self.entrance.read().await == Access::Paused
    }

    /// Freezes the container's processes, after those on their way in have arrived.
    pub(crate) async fn pause(&self, events: &Events) -> Result<()> {
        let mut access = self.entrance.write().await;
        self.check_open(*access)?;
        self.cgroup.freeze().await?;
        *access = Access::Paused;
        events
            .publish(TaskPaused {
                container_id: self.location.id.clone(),
                ..Default::default()
            })
            .await;
        Ok(())
    }

    /// Thaws the container's processes.
    pub(crate) async fn resume(&self, events: &Events) -> Result<()> {
        let mut access = self.entrance.write().await;
        if *access != Access::Paused {
            return Err(self.refused("is not paused"));
        }
        self.cgroup.thaw()?;
        *access = Access::Open;
        events
            .publish(TaskResumed {
                container_id: self.location.id.clone(),
                ..Default::default()
            })
            .await;
        Ok(())
    }

    /// Thaws a container that is to end. Only logs a failure, because the cgroup may be gone.
    fn thaw(&self) {
        if let Err(error) = self.cgroup.thaw() {
            let id = &self.location.id;
            log::debug!("container not thawed container={id} error=\"{error:#}\"");
        }
    }

    /// Changes the container's limits.
    pub(crate) async fn update(&self, resources: String) -> Result<()> {
        let _changing = self.changing.lock().await;
        if let State::Stopped(_) = self.process.state() {
            return Err(self.refused("has ended"));
        }
        let update = UpdateRequest {
            location: self.location.clone(),
            init: self.process.pid(),
            resources,
        };
        helper::call(&HelperRequest::Update(update)).await.map(drop)
    }

    /// Removes the container. Fails if its process runs.
    pub(crate) async fn delete(&self) -> Result<Exit> {
        {
            let _changing = self.changing.lock().await;
            match self.process.state() {
                State::Running => return Err(self.refused("is running")),
                State::Created => drop(self.signal(Signal::KILL, false).await?),
                State::Stopped(_) => {}
            }
        }
        let exit = tokio::time::timeout(KILL_TIMEOUT, self.process.wait()).await;
        let exit = exit.with_context(|| {
            let id = &self.location.id;
            format!("the container {id} still runs {KILL_TIMEOUT:?} after SIGKILL")
        })?;
        let _changing = self.changing.lock().await;
        helper::call(&HelperRequest::Delete(self.location.clone())).await?;
        Ok(exit)
    }

    fn refused(&self, reason: &str) -> anyhow::Error {
        refusal::precondition(format!("the container {} {reason}", self.location.id))
    }
}
