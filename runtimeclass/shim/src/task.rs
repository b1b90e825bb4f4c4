//! One container as a task: created, running, stopped. The states follow what happens to its first process, not what
//! is requested: whatever ends the process, even before it was started, ends the task and every wait for it.

use crate::cgroup::Cgroup;
use crate::events::Events;
use crate::exec::Exec;
use crate::exits::Exits;
use crate::helper::{self, Made};
use crate::process::{Exit, Process, State};
use crate::refusal;
use crate::registry::Registry;
use crate::request::{Create, Place, Request, Stdio, Update};
use crate::signals;
use crate::streams::Streams;
use anyhow::{Context, Result, bail};
use containerd_shim::protos::events::task::{
    TaskExit, TaskOOM, TaskPaused, TaskResumed, TaskStart,
};
use rustix::process::Signal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, RwLock, RwLockReadGuard};

/// How long killed processes may take to be gone. The kernel needs that long only if a file call hangs.
const KILLED: Duration = Duration::from_secs(20);

/// The exit code of a process that was killed: 128 and SIGKILL.
const KILLED_CODE: i32 = 137;

/// A container.
pub(crate) struct Task {
    pub(crate) place: Place,
    pub(crate) stdio: Stdio,
    pub(crate) terminal: bool,
    pub(crate) cache: PathBuf,
    pub(crate) cgroup: Cgroup,
    /// The first process.
    pub(crate) process: Process,
    /// The second processes, by their ids.
    pub(crate) execs: Registry<Exec>,
    pub(crate) streams: Streams,
    /// How often memory had run out in the pod when the container was made.
    oom_kills_above: u64,
    /// Whether containerd has asked to have it killed.
    killed: AtomicBool,
    /// Held while the task is started or removed, or its end reported: one at a time.
    changing: Mutex<()>,
    /// Held for reading while a second process enters the container: one that is frozen on its way in could not be
    /// waited for.
    entry: RwLock<Entry>,
}

/// Whether a second process may enter a container.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Open,
    /// Not while the container is paused.
    Paused,
    /// Not any more: its first process has ended.
    Closed,
}

/// Keeps a container open for a process that enters it.
pub(crate) struct Entering<'a> {
    _open: RwLockReadGuard<'a, Entry>,
}

impl Task {
    /// Makes the container; its process waits to be started.
    pub(crate) async fn create(create: Create, events: Arc<Events>) -> Result<Arc<Self>> {
        let streams = Streams::open(&create.stdio, create.terminal)?;
        let (place, stdio, cache) = (
            create.place.clone(),
            create.stdio.clone(),
            create.cache.clone(),
        );
        let terminal = create.terminal;
        // Before the process exists, so that its end cannot be missed.
        let mut exits = Exits::subscribe().await?;
        let made = helper::call(&Request::Create(Box::new(create))).await;
        let known = made.and_then(Made::process).and_then(|(handle, master)| {
            streams.connect(master)?;
            let cgroup = Cgroup::of(handle.pid)?;
            Ok((handle, cgroup))
        });
        let (handle, cgroup) = match known {
            Ok(known) => known,
            Err(error) => {
                // Nothing is left of what was half made; the first error is the one to report.
                if let Err(error) = helper::call(&Request::Delete(place)).await {
                    log::warn!("{error:#}");
                }
                return Err(error);
            }
        };
        let pid = handle.pid;
        let process = Process::new();
        process.set_handle(handle);
        let task = Arc::new(Self {
            oom_kills_above: cgroup.oom_kills_above(),
            killed: AtomicBool::new(false),
            place,
            stdio,
            terminal,
            cache,
            cgroup,
            process,
            execs: Registry::default(),
            streams,
            changing: Mutex::new(()),
            entry: RwLock::new(Entry::Open),
        });
        let ending = task.clone();
        tokio::spawn(async move {
            match exits.of(pid).await {
                Ok(code) => ending.ended(code, &events).await,
                Err(error) => log::error!("{}: {error:#}", ending.place.id),
            }
        });
        Ok(task)
    }

    /// Lets the process run.
    pub(crate) async fn start(&self, events: &Events) -> Result<()> {
        let _changing = self.changing.lock().await;
        let id = &self.place.id;
        match self.process.state() {
            State::Created => {}
            State::Running => {
                return Err(refusal::precondition(format!(
                    "the container {id} has been started already"
                )));
            }
            State::Stopped(exit) => bail!(
                "the container {id} has ended before it was started, with {}",
                exit.code
            ),
        }
        helper::call(&Request::Start(self.place.clone())).await?;
        self.process.runs();
        events
            .publish(TaskStart {
                container_id: id.clone(),
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
        let id = &self.place.id;
        log::info!(
            "{id}: ended with {code}{}",
            if out_of_memory { ", out of memory" } else { "" }
        );
        if out_of_memory {
            // Before the end, or Kubernetes would call it an error instead of OOMKilled.
            events
                .publish(TaskOOM {
                    container_id: id.clone(),
                    ..Default::default()
                })
                .await;
        }
        events
            .publish(TaskExit {
                container_id: id.clone(),
                id: id.clone(),
                pid: self.process.pid() as u32,
                exit_status: exit.code,
                exited_at: Some(exit.at).into(),
                ..Default::default()
            })
            .await;
    }

    /// Kills what outlives the first process, which the kernel does only in a PID namespace of its own, and waits until
    /// the ends of the second processes are reported: containerd takes nothing more from a container that has ended.
    async fn end_the_others(&self) {
        self.thaw();
        *self.entry.write().await = Entry::Closed;
        signals::send(Signal::KILL, || self.cgroup.processes());
        let gone = async {
            for exec in self.execs.all() {
                exec.reported().await;
            }
        };
        if tokio::time::timeout(KILLED, gone).await.is_err() {
            let id = &self.place.id;
            log::error!("{id}: processes were killed {KILLED:?} ago and are not gone");
        }
    }

    /// Returns whether it ended because memory ran out. The kernel counts OOM kills for each cgroup, before it kills.
    /// systemd removes its cgroup with the last process; then the pod's counter decides: if that has risen and the
    /// container was killed without a request, memory was the reason.
    fn ran_out_of_memory(&self, code: i32) -> bool {
        match self.cgroup.oom_kills() {
            Some(kills) => kills > 0,
            None => {
                code == KILLED_CODE
                    && !self.killed.load(Ordering::Relaxed)
                    && self.cgroup.oom_kills_above() > self.oom_kills_above
            }
        }
    }

    /// Sends a signal: to the process, or to all that are in its cgroup. Returns `false` if it has ended.
    pub(crate) async fn signal(&self, signal: Signal, all: bool) -> Result<bool> {
        if signal == Signal::KILL {
            self.killed.store(true, Ordering::Relaxed);
        }
        if all {
            signals::send(signal, || self.cgroup.processes());
        }
        let delivered = self.process.signal(signal)?;
        if signal == Signal::KILL {
            // What is frozen does not end.
            self.thaw();
        }
        Ok(delivered)
    }

    /// Lets a second process enter the container, which is neither paused nor reported as ended until the guard is
    /// dropped.
    pub(crate) async fn enter(&self) -> Result<Entering<'_>> {
        let open = self.entry.read().await;
        self.check_open(*open)?;
        Ok(Entering { _open: open })
    }

    fn check_open(&self, entry: Entry) -> Result<()> {
        let id = &self.place.id;
        let reason = match (self.process.state(), entry) {
            (State::Stopped(_), _) | (_, Entry::Closed) => "has ended",
            (_, Entry::Paused) => "is paused: resume it first",
            (State::Created | State::Running, Entry::Open) => return Ok(()),
        };
        Err(refusal::precondition(format!(
            "the container {id} {reason}"
        )))
    }

    /// Returns whether it is paused.
    pub(crate) async fn is_paused(&self) -> bool {
        *self.entry.read().await == Entry::Paused
    }

    /// Stops all its processes where they are, once those on their way in have arrived.
    pub(crate) async fn pause(&self, events: &Events) -> Result<()> {
        let mut entry = self.entry.write().await;
        self.check_open(*entry)?;
        self.cgroup.freeze().await?;
        *entry = Entry::Paused;
        events
            .publish(TaskPaused {
                container_id: self.place.id.clone(),
                ..Default::default()
            })
            .await;
        Ok(())
    }

    /// Lets its processes go on.
    pub(crate) async fn resume(&self, events: &Events) -> Result<()> {
        let mut entry = self.entry.write().await;
        if *entry != Entry::Paused {
            let id = &self.place.id;
            return Err(refusal::precondition(format!(
                "the container {id} is not paused"
            )));
        }
        self.cgroup.thaw()?;
        *entry = Entry::Open;
        events
            .publish(TaskResumed {
                container_id: self.place.id.clone(),
                ..Default::default()
            })
            .await;
        Ok(())
    }

    /// Thaws a container that is to end. That its cgroup is gone already is no reason to fail.
    fn thaw(&self) {
        if let Err(error) = self.cgroup.thaw() {
            log::debug!("{}: {error:#}", self.place.id);
        }
    }

    /// Changes its limits.
    pub(crate) async fn update(&self, resources: String) -> Result<()> {
        let _changing = self.changing.lock().await;
        let id = &self.place.id;
        if let State::Stopped(_) = self.process.state() {
            return Err(refusal::precondition(format!(
                "the container {id} has ended"
            )));
        }
        let update = Update {
            place: self.place.clone(),
            init: self.process.pid(),
            resources,
        };
        helper::call(&Request::Update(update)).await.map(drop)
    }

    /// Removes the container, which must have ended or never been started.
    pub(crate) async fn delete(&self) -> Result<Exit> {
        let id = &self.place.id;
        {
            let _changing = self.changing.lock().await;
            match self.process.state() {
                State::Running => {
                    return Err(refusal::precondition(format!(
                        "the container {id} is running"
                    )));
                }
                State::Created => drop(self.signal(Signal::KILL, false).await?),
                State::Stopped(_) => {}
            }
        }
        let exit = tokio::time::timeout(KILLED, self.process.wait()).await;
        let exit = exit.with_context(|| {
            format!("the container {id} was killed {KILLED:?} ago and is not gone")
        })?;
        let _changing = self.changing.lock().await;
        helper::call(&Request::Delete(self.place.clone())).await?;
        Ok(exit)
    }
}
