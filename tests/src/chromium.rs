//! A headless Chromium and its DevTools protocol: calls with their responses, and events.
//!
//! The protocol uses a pair of pipes (`--remote-debugging-pipe`) instead of a WebSocket. So no port is open to others, and
//! the browser ends with the test. A client library would take minutes to compile: it has a type for each of the protocol's
//! thousands of messages, of which a dozen are used here.

use crate::output::Output;
use crate::{DEADLINE, environment};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// A shell command that moves the pipes to descriptors 3 and 4, on which Chromium reads and writes the protocol. Rust could
/// do that only with unsafe code between fork and exec.
const PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// Arguments of every start. They suppress the browser's own traffic and first-run pages.
const ARGUMENTS: [&str; 13] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--hide-scrollbars",
];

/// A running browser. On drop it is killed, and its directory with the profile is removed.
pub struct Chromium {
    input: tokio::sync::Mutex<ChildStdin>,
    state: Arc<State>,
    log: Output,
    process: Child,
    _directory: TempDir,
}

/// The state shared by the task that reads the protocol and the callers that wait.
struct State {
    shared: Mutex<Shared>,
    /// The number of events so far. Also changed when the pipe ends.
    progress: watch::Sender<usize>,
}

#[derive(Default)]
struct Shared {
    last_id: u64,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    events: Vec<Value>,
    closed: bool,
}

impl Chromium {
    /// Starts the browser in `CHROMIUM_BIN`, or `chromium` if that is not set.
    pub async fn start() -> Result<Self> {
        let directory = TempDir::new().context("cannot make a directory for the browser")?;
        let binary = environment::CHROMIUM
            .get()
            .unwrap_or_else(|| "chromium".into());
        let mut process = command(&PathBuf::from(&binary), directory.path())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let input = ChildStdin::from_std(process.stdin.take().expect("piped"))?;
        let output = ChildStdout::from_std(process.stdout.take().expect("piped"))?;
        let log = Output::collect(process.stderr.take().expect("piped"));
        let state = Arc::new(State {
            shared: Mutex::default(),
            progress: watch::Sender::new(0),
        });
        tokio::spawn(read(output, Arc::clone(&state)));
        Ok(Self {
            input: input.into(),
            state,
            log,
            process,
            _directory: directory,
        })
    }

    /// Calls a method of a session, or of the browser itself, and waits for the result.
    pub async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value> {
        let (id, response) = {
            let mut shared = self.state.shared.lock().expect("no holder panics");
            if shared.closed {
                bail!("{method}: the browser has ended");
            }
            shared.last_id += 1;
            let id = shared.last_id;
            let (sender, response) = oneshot::channel();
            shared.waiting.insert(id, sender);
            (id, response)
        };
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.input.lock().await.write_all(&bytes).await?;
        let mut response = timeout(DEADLINE, response)
            .await
            .with_context(|| format!("{method}: no response within {DEADLINE:?}"))?
            .with_context(|| format!("{method}: the browser has ended"))?;
        match response.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(response["result"].take()),
        }
    }

    /// Returns the number of events so far, from which [`Chromium::event`] can wait for more.
    pub fn mark(&self) -> usize {
        *self.state.progress.borrow()
    }

    /// Waits for the first event after the mark with this session, this name and `wanted` parameters. It may have arrived
    /// already.
    pub async fn event(
        &self,
        mark: usize,
        session: &str,
        method: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut progress = self.state.progress.subscribe();
        let search = async {
            loop {
                progress.borrow_and_update();
                let found = self.events(session).into_iter().find(|(index, event)| {
                    *index >= mark
                        && event["method"].as_str() == Some(method)
                        && wanted(&event["params"])
                });
                if let Some((_, event)) = found {
                    return Ok(event);
                }
                if self.state.shared.lock().expect("no holder panics").closed {
                    bail!("the browser has ended");
                }
                progress.changed().await?;
            }
        };
        timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| Err(anyhow!("no such event within {DEADLINE:?}")))
            .with_context(|| format!("cannot wait for {method}"))
    }

    /// Returns the events of this session so far, each with its index among all events.
    pub fn events(&self, session: &str) -> Vec<(usize, Value)> {
        let shared = self.state.shared.lock().expect("no holder panics");
        let all = shared.events.iter().cloned().enumerate();
        all.filter(|(_, event)| event["sessionId"].as_str() == Some(session))
            .collect()
    }

    /// Returns the browser's output and its last events, for error messages.
    pub fn logs(&self) -> String {
        let shared = self.state.shared.lock().expect("no holder panics");
        let last = shared.events.len().saturating_sub(20);
        let events: Vec<_> = shared.events[last..].iter().map(Value::to_string).collect();
        format!(
            "--- stderr of the browser ---\n{}\n--- its last events ---\n{}\n---",
            self.log.lines().join("\n"),
            events.join("\n")
        )
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended already. Wait for its end before its directory is removed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", PIPES, "sh"]).arg(binary);
    command.args(ARGUMENTS);
    let mut user_data = OsString::from("--user-data-dir=");
    user_data.push(directory.join("profile"));
    command.arg(user_data);
    // A killed browser leaves temporary files, which are removed with this directory.
    command.env("TMPDIR", directory);
    // Chromium's sandbox does not run as root. The browser opens only the project's own page.
    if rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads the protocol to its end. Passes responses to the callers that wait and keeps events.
async fn read(output: ChildStdout, state: Arc<State>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while matches!(output.read_until(0, &mut bytes).await, Ok(count) if count > 0) {
        bytes.pop_if(|last| *last == 0);
        let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        bytes.clear();
        let mut shared = state.shared.lock().expect("no holder panics");
        if let Some(id) = message["id"].as_u64() {
            if let Some(waiting) = shared.waiting.remove(&id) {
                // The caller may have given up.
                let _ = waiting.send(message);
            }
        } else {
            shared.events.push(message);
            let count = shared.events.len();
            drop(shared);
            state.progress.send_replace(count);
        }
    }
    let mut shared = state.shared.lock().expect("no holder panics");
    shared.closed = true;
    shared.waiting.clear();
    drop(shared);
    state.progress.send_modify(|_| ());
}
