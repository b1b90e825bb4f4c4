//! One process that was added to a container: added, running, stopped. Its end is reported before the container's.

use crate::entrance::Entered;
use crate::events::Events;
use crate::exits::Exits;
use crate::helper;
use crate::process::{Exit, Process, State};
use crate::refusal;
use crate::request::{ExecRequest, HelperRequest, Stdio};
use crate::streams::Streams;
use anyhow::Result;
use containerd_shim::protos::events::task::TaskExecStarted;
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, Semaphore};

/// The number of helpers that add processes at the same time. A helper runs outside of the pod's cgroup, so without this
/// limit a pod could fill the node with helpers.
static HELPERS: Semaphore = Semaphore::const_new(8);

/// The exit code of a process that could not be started.
const NOT_STARTED: i32 = 255;

/// A process that was added to a container.
pub(crate) struct Exec {
    pub(crate) id: String,
    pub(crate) process: Process,
    /// The process as OCI's JSON.
    description: String,
    streams: OnceLock<Streams>,
    /// Whether the input was closed before it was opened.
    input_closed: AtomicBool,
    /// Held while the process is started or signalled, or its end is reported: one at a time.
    changing: Mutex<()>,
}

impl Exec {
    pub(crate) fn new(id: &str, stdio: Stdio, terminal: bool, description: String) -> Self {
        Self {
            id: id.to_owned(),
            process: Process::new(stdio, terminal),
            description,
            streams: OnceLock::new(),
            input_closed: AtomicBool::new(false),
            changing: Mutex::new(()),
        }
    }

    /// Starts the process in the container that `enter` returns.
    pub(crate) async fn start<'a>(
        self: &Arc<Self>,
        enter: impl Future<Output = Result<Entered<'a>>> + Send,
        events: &Arc<Events>,
    ) -> Result<()> {
        let _changing = self.changing.lock().await;
        if self.process.state() != State::Created {
            return Err(self.refused("has already been started"));
        }
        let started = self.run(enter, events).await;
        if started.is_err() && self.process.state() == State::Created {
            self.process.ended(Exit::now(NOT_STARTED));
            if let Some(streams) = self.streams.get() {
                streams.finish().await;
            }
        }
        started
    }

    async fn run<'a>(
        self: &Arc<Self>,
        enter: impl Future<Output = Result<Entered<'a>>> + Send,
        events: &Arc<Events>,
    ) -> Result<()> {
        let container = enter.await?;
        let opened = Streams::open_apart(&self.process.stdio, self.process.terminal)?;
        let streams = self.streams.get_or_init(|| opened);
        if self.input_closed.load(Ordering::Acquire) {
            streams.close_input();
        }
        // Before the process exists, so that its end cannot be missed.
        let mut exits = Exits::subscribe().await?;
        let spawned = {
            let _helper = HELPERS.acquire().await?;
            let request = self.request(&container);
            helper::call(&HelperRequest::Exec(Box::new(request))).await?
        };
        let (handle, created) = spawned.process()?;
        let pid = handle.pid;
        self.process.set_handle(handle);
        self.process.runs();
        let connected = streams.connect(created);
        let id = container.location.id.clone();
        events
            .publish(TaskExecStarted {
                container_id: id.clone(),
                exec_id: self.id.clone(),
                pid: pid as u32,
                ..Default::default()
            })
            .await;
        let (exec, events) = (self.clone(), events.clone());
        tokio::spawn(async move {
            let code = exits.of(pid).await.unwrap_or_else(|error| {
                log::error!(
                    "process lost container={id} exec={} error=\"{error:#}\"",
                    exec.id
                );
                NOT_STARTED
            });
            exec.ended(code, &id, &events).await;
        });
        if connected.is_err() {
            self.process.signal(Signal::KILL)?;
        }
        connected
    }

    fn request(&self, container: &Entered<'_>) -> ExecRequest {
        ExecRequest {
            location: container.location.clone(),
            init: container.init,
            process: self.description.clone(),
            stdio: self.process.stdio.clone(),
            terminal: self.process.terminal,
            cache: container.cache.to_owned(),
        }
    }

    async fn ended(&self, code: i32, container: &str, events: &Events) {
        let exit = Exit::now(code);
        if let Some(streams) = self.streams.get() {
            streams.finish().await;
        }
        let _changing = self.changing.lock().await;
        log::debug!(
            "process ended container={container} exec={} code={code}",
            self.id
        );
        self.process.ended(exit.clone());
        let pid = self.process.pid();
        events.publish_exit(container, &self.id, pid, exit).await;
    }

    /// Waits until the end of the process has been reported. Returns at once if it was never started.
    pub(crate) async fn reported(&self) {
        // Waits for a start that is under way.
        drop(self.changing.lock().await);
        if self.process.state() == State::Running {
            self.process.wait().await;
            drop(self.changing.lock().await);
        }
    }

    /// Sends a signal, after a start that is under way. Returns `false` if the process has ended.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<bool> {
        let _changing = self.changing.lock().await;
        if self.process.state() == State::Created {
            return Err(self.refused("has not been started"));
        }
        self.process.signal(signal)
    }

    /// Ends the process's record and its output, after a start that is under way. Returns its exit, if it ever ran.
    pub(crate) async fn delete(&self) -> Result<Option<Exit>> {
        let changing = self.changing.lock().await;
        let exit = match self.process.state() {
            State::Running => return Err(self.refused("is running")),
            State::Created => {
                self.process.ended(Exit::now(NOT_STARTED));
                None
            }
            State::Stopped(exit) => Some(exit),
        };
        drop(changing);
        if let Some(streams) = self.streams.get() {
            streams.end().await;
        }
        Ok(exit)
    }

    /// Closes the process's input. If the process is still to be started, its input ends right after the start.
    pub(crate) fn close_input(&self) {
        self.input_closed.store(true, Ordering::Release);
        if let Some(streams) = self.streams.get() {
            streams.close_input();
        }
    }

    /// Sets the terminal's size in characters.
    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        match self.streams.get() {
            Some(streams) => streams.resize(columns, rows),
            None => Err(self.refused("has not been started")),
        }
    }

    fn refused(&self, reason: &str) -> anyhow::Error {
        refusal::precondition(format!("the process {} {reason}", self.id))
    }
}
