//! A second process of a container: added, running, stopped. Its own end is reported before the container's.

use crate::events::Events;
use crate::exits::Exits;
use crate::helper;
use crate::process::{Exit, Process, State};
use crate::refusal;
use crate::request::{self, Request, Stdio};
use crate::streams::Streams;
use crate::task::Task;
use anyhow::Result;
use containerd_shim::protos::events::task::{TaskExecStarted, TaskExit};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, Semaphore};

/// Helpers at once. Each is a process outside of the pod's cgroup, so a pod could otherwise fill the node with them.
static HELPERS: Semaphore = Semaphore::const_new(8);

/// The exit code of a process that could not be started.
const NOT_STARTED: i32 = 255;

/// A second process.
pub(crate) struct Exec {
    pub(crate) id: String,
    pub(crate) stdio: Stdio,
    pub(crate) terminal: bool,
    pub(crate) process: Process,
    /// The process as OCI's JSON.
    description: String,
    streams: OnceLock<Streams>,
    /// Whether the input was closed before there was one.
    input_closed: AtomicBool,
    /// Held while it is started, signalled or its end is reported: one at a time.
    changing: Mutex<()>,
}

impl Exec {
    pub(crate) fn new(id: &str, stdio: Stdio, terminal: bool, description: String) -> Self {
        Self {
            id: id.to_owned(),
            stdio,
            terminal,
            process: Process::new(),
            description,
            streams: OnceLock::new(),
            input_closed: AtomicBool::new(false),
            changing: Mutex::new(()),
        }
    }

    /// Starts the process in a container that runs.
    pub(crate) async fn start(self: &Arc<Self>, task: &Task, events: &Arc<Events>) -> Result<()> {
        let _changing = self.changing.lock().await;
        if self.process.state() != State::Created {
            let id = &self.id;
            return Err(refusal::precondition(format!(
                "the process {id} has been started already"
            )));
        }
        let started = self.run(task, events).await;
        if started.is_err() && self.process.state() == State::Created {
            self.process.ended(Exit::now(NOT_STARTED));
            if let Some(streams) = self.streams.get() {
                streams.finish().await;
            }
        }
        started
    }

    async fn run(self: &Arc<Self>, task: &Task, events: &Arc<Events>) -> Result<()> {
        let _entering = task.enter().await?;
        let opened = Streams::open(&self.stdio, self.terminal)?;
        let streams = self.streams.get_or_init(|| opened);
        if self.input_closed.load(Ordering::Acquire) {
            streams.close_input();
        }
        // Before the process exists, so that its end cannot be missed.
        let mut exits = Exits::subscribe().await?;
        let made = {
            let _one_of_few = HELPERS.acquire().await?;
            helper::call(&Request::Exec(Box::new(self.request(task)))).await?
        };
        let (handle, terminal) = made.process()?;
        let pid = handle.pid;
        self.process.set_handle(handle);
        self.process.runs();
        let connected = streams.connect(terminal);
        events
            .publish(TaskExecStarted {
                container_id: task.place.id.clone(),
                exec_id: self.id.clone(),
                pid: pid as u32,
                ..Default::default()
            })
            .await;
        let (exec, container, events) = (self.clone(), task.place.id.clone(), events.clone());
        tokio::spawn(async move {
            let code = exits.of(pid).await.unwrap_or_else(|error| {
                log::error!("{container}/{}: {error:#}", exec.id);
                NOT_STARTED
            });
            exec.ended(code, container, &events).await;
        });
        if connected.is_err() {
            self.process.signal(Signal::KILL)?;
        }
        connected
    }

    fn request(&self, task: &Task) -> request::Exec {
        request::Exec {
            place: task.place.clone(),
            init: task.process.pid(),
            process: self.description.clone(),
            stdio: self.stdio.clone(),
            terminal: self.terminal,
            cache: task.cache.clone(),
        }
    }

    async fn ended(&self, code: i32, container: String, events: &Events) {
        let exit = Exit::now(code);
        if let Some(streams) = self.streams.get() {
            streams.finish().await;
        }
        let _changing = self.changing.lock().await;
        log::debug!("{container}/{}: ended with {code}", self.id);
        self.process.ended(exit.clone());
        events
            .publish(TaskExit {
                container_id: container,
                id: self.id.clone(),
                pid: self.process.pid() as u32,
                exit_status: exit.code,
                exited_at: Some(exit.at).into(),
                ..Default::default()
            })
            .await;
    }

    /// Waits until its end has been reported. Returns at once if it was never started.
    pub(crate) async fn reported(&self) {
        // A start that is under way comes first.
        drop(self.changing.lock().await);
        if self.process.state() == State::Running {
            self.process.wait().await;
            drop(self.changing.lock().await);
        }
    }

    /// Sends a signal; while the process is being started, once that is done. Returns `false` if it has ended.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<bool> {
        let _changing = self.changing.lock().await;
        if self.process.state() == State::Created {
            let id = &self.id;
            return Err(refusal::precondition(format!(
                "the process {id} has not been started"
            )));
        }
        self.process.signal(signal)
    }

    /// Forgets the process, once it is not being started any more. Returns how it has ended, if it ever ran.
    pub(crate) async fn delete(&self) -> Result<Option<Exit>> {
        let _changing = self.changing.lock().await;
        match self.process.state() {
            State::Running => {
                let id = &self.id;
                Err(refusal::precondition(format!(
                    "the process {id} is running"
                )))
            }
            State::Created => {
                self.process.ended(Exit::now(NOT_STARTED));
                Ok(None)
            }
            State::Stopped(exit) => Ok(Some(exit)),
        }
    }

    /// Ends the input. If there is no process yet, its input ends once it is there.
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
            None => Err(refusal::precondition(format!(
                "the process {} has not been started",
                self.id
            ))),
        }
    }
}
