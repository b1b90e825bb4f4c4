//! One container as a task: created, running, stopped. The states follow what happens to its process, not what is
//! asked: whatever ends the process, also before it was started, ends the task, and then whoever waits is told.

use crate::cgroup::Cgroup;
use crate::events::Events;
use crate::exits::Exits;
use crate::request::{Create, Place, Request, Stdio};
use crate::{helper, stdio};
use anyhow::{Context, Result, bail};
use containerd_shim::protos::events::task::{TaskExit, TaskOOM, TaskStart};
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, watch};

/// How long a killed process may take to be gone. The kernel needs that long only when a file call hangs.
const KILLED: Duration = Duration::from_secs(20);

/// What a process ends with that was killed: 128 and SIGKILL.
const KILLED_CODE: i32 = 137;

/// What has become of the container's process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// It waits to be started.
    Created,
    /// It runs.
    Running,
    /// It has ended.
    Stopped(Exit),
}

/// How a process has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// Its exit code, or 128 and the number of the signal.
    pub(crate) code: u32,
    /// When.
    pub(crate) at: Timestamp,
}

/// A container.
pub(crate) struct Task {
    pub(crate) place: Place,
    pub(crate) stdio: Stdio,
    pub(crate) pid: i32,
    pub(crate) cgroup: Cgroup,
    process: OwnedFd,
    /// How often memory had run out in the pod when the container was made.
    oom_kills_above: u64,
    /// Whether somebody has asked to have it killed.
    killed: AtomicBool,
    state: watch::Sender<State>,
    /// Held while the task is started or removed: one at a time, and the end is told after the start.
    changing: Mutex<()>,
}

impl Task {
    /// Makes the container; its process waits to be started.
    pub(crate) async fn create(create: Create, events: Arc<Events>) -> Result<Arc<Self>> {
        let held = stdio::hold(&create.stdio)?;
        let (place, stdio) = (create.place.clone(), create.stdio.clone());
        // Before the process exists, so that its end cannot be missed.
        let mut exits = Exits::subscribe().await?;
        let created = helper::call(&Request::Create(Box::new(create))).await;
        let known = created.and_then(|response| {
            let pid = response.pid.context("the container has no process")?;
            let process = pidfd_open(to_pid(pid)?, PidfdFlags::empty())
                .with_context(|| format!("the container's process {pid} has ended already"))?;
            Ok((pid, process, Cgroup::of(pid)?))
        });
        let (pid, process, cgroup) = match known {
            Ok(known) => known,
            Err(error) => {
                // Nothing is left of what was half made; the first error is the one to tell.
                if let Err(error) = helper::call(&Request::Delete(place)).await {
                    log::warn!("{error:#}");
                }
                return Err(error);
            }
        };
        let task = Arc::new(Self {
            oom_kills_above: cgroup.oom_kills_above(),
            killed: AtomicBool::new(false),
            place,
            stdio,
            pid,
            cgroup,
            process,
            state: watch::Sender::new(State::Created),
            changing: Mutex::new(()),
        });
        let ending = task.clone();
        tokio::spawn(async move {
            match exits.of(pid).await {
                Ok(code) => ending.ended(code, &events).await,
                Err(error) => log::error!("{}: {error:#}", ending.place.id),
            }
            drop(held);
        });
        Ok(task)
    }

    /// Lets the process run.
    pub(crate) async fn start(&self, events: &Events) -> Result<()> {
        let _changing = self.changing.lock().await;
        let id = &self.place.id;
        match self.state() {
            State::Created => {}
            State::Running => bail!("the container {id} has been started already"),
            State::Stopped(exit) => bail!(
                "the container {id} has ended before it was started, with {}",
                exit.code
            ),
        }
        helper::call(&Request::Start(self.place.clone())).await?;
        self.state.send_if_modified(|state| {
            let starts = *state == State::Created;
            if starts {
                *state = State::Running;
            }
            starts
        });
        events
            .publish(TaskStart {
                container_id: id.clone(),
                pid: self.pid as u32,
                ..Default::default()
            })
            .await;
        Ok(())
    }

    async fn ended(&self, code: i32, events: &Events) {
        let exit = Exit {
            code: code as u32,
            at: now(),
        };
        let out_of_memory = self.ran_out_of_memory(code);
        self.state.send_replace(State::Stopped(exit.clone()));
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
                pid: self.pid as u32,
                exit_status: exit.code,
                exited_at: Some(exit.at).into(),
                ..Default::default()
            })
            .await;
    }

    /// Whether it ended because memory ran out: counted before the process is killed, in its cgroup, which is there until
    /// the task is deleted, but where systemd made it. That removes it when the last process is gone, and what stays is the
    /// count of the pod's. When that has risen, a container that was killed though nobody asked for it was its reason.
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

    /// Its state now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> Exit {
        let mut state = self.state.subscribe();
        loop {
            if let State::Stopped(exit) = &*state.borrow_and_update() {
                return exit.clone();
            }
            if state.changed().await.is_err() {
                // Not possible while `self` has the sender.
                return Exit {
                    code: 255,
                    at: now(),
                };
            }
        }
    }

    /// Sends a signal: to the process, or to all that are in its cgroup. `false` when it has ended.
    pub(crate) fn signal(&self, number: u32, all: bool) -> Result<bool> {
        let signal = i32::try_from(number).ok().and_then(Signal::from_named_raw);
        let signal = signal.with_context(|| format!("there is no signal {number}"))?;
        if signal == Signal::KILL {
            self.killed.store(true, Ordering::Relaxed);
        }
        if all {
            for pid in self.cgroup.processes().unwrap_or_default() {
                // One that has ended meanwhile needs no signal.
                let _ = kill_process(to_pid(pid)?, signal);
            }
        }
        if matches!(self.state(), State::Stopped(_)) {
            return Ok(false);
        }
        match pidfd_send_signal(&self.process, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("send the signal {number} to {}", self.pid))
            }
        }
    }

    /// Removes the container, which must have ended or never been started.
    pub(crate) async fn delete(&self) -> Result<Exit> {
        let id = &self.place.id;
        {
            let _changing = self.changing.lock().await;
            match self.state() {
                State::Running => bail!("the container {id} is running"),
                State::Created => drop(self.signal(Signal::KILL.as_raw() as u32, false)?),
                State::Stopped(_) => {}
            }
        }
        let exit = tokio::time::timeout(KILLED, self.wait()).await;
        let exit = exit.with_context(|| {
            format!("the container {id} was killed {KILLED:?} ago and is not gone")
        })?;
        let _changing = self.changing.lock().await;
        helper::call(&Request::Delete(self.place.clone())).await?;
        Ok(exit)
    }
}

fn to_pid(pid: i32) -> Result<Pid> {
    Pid::from_raw(pid).with_context(|| format!("{pid} is no process id"))
}

/// The time, as protocol buffers write it.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        seconds: since.as_secs() as i64,
        nanos: since.subsec_nanos() as i32,
        ..Default::default()
    }
}
