//! One headless Chromium and its DevTools protocol: calls with their answers, and events.
//!
//! The protocol goes over a pair of pipes (`--remote-debugging-pipe`), so there is no port that anyone else could
//! find, no WebSocket, and the browser ends by itself when the test does. A client library would bring a generated
//! type for each of the protocol's thousands of messages, minutes of compiling for the dozen used here.

use crate::DEADLINE;
use crate::output::Output;
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

/// Chromium reads the protocol on descriptor 3 and writes it on 4. A shell puts them there: doing so from Rust
/// would need unsafe code between fork and exec.
const PIPES: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// What every start is given: a fresh profile, and no traffic of the browser's own.
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

/// A running browser. On drop it is killed and its directory, with the profile, removed.
pub struct Chromium {
    input: tokio::sync::Mutex<ChildStdin>,
    state: Arc<State>,
    log: Output,
    process: Child,
    _directory: TempDir,
}

/// What the task that reads the protocol shares with those who wait.
struct State {
    shared: Mutex<Shared>,
    /// How many events there are; closed with the pipe.
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
    /// Starts the browser that `CHROMIUM_BIN` names, else `chromium`.
    pub async fn start() -> Result<Self> {
        let directory = TempDir::new().context("make a directory for the browser")?;
        let binary = std::env::var_os("CHROMIUM_BIN").unwrap_or_else(|| "chromium".into());
        let mut process = command(&PathBuf::from(&binary), directory.path())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
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

    /// Calls a method of the protocol, on a session or on the browser itself, and waits for its result.
    pub async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value> {
        let (id, answer) = {
            let mut shared = self.state.shared.lock().expect("no holder panics");
            if shared.closed {
                bail!("{method}: the browser has ended");
            }
            shared.last_id += 1;
            let id = shared.last_id;
            let (sender, answer) = oneshot::channel();
            shared.waiting.insert(id, sender);
            (id, answer)
        };
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.input.lock().await.write_all(&bytes).await?;
        let mut answer = timeout(DEADLINE, answer)
            .await
            .with_context(|| format!("{method}: no answer within {DEADLINE:?}"))?
            .with_context(|| format!("{method}: the browser has ended"))?;
        match answer.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(answer["result"].take()),
        }
    }

    /// How many events there have been: the mark to wait from.
    pub fn mark(&self) -> usize {
        *self.state.progress.borrow()
    }

    /// Waits for the first event of this session and name after the mark, already there or yet to come, whose
    /// parameters are `wanted`.
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
            .unwrap_or_else(|_| Err(anyhow!("not within {DEADLINE:?}")))
            .with_context(|| format!("wait for {method}"))
    }

    /// The events of this session so far, each with its place among all.
    pub fn events(&self, session: &str) -> Vec<(usize, Value)> {
        let shared = self.state.shared.lock().expect("no holder panics");
        let all = shared.events.iter().cloned().enumerate();
        all.filter(|(_, event)| event["sessionId"].as_str() == Some(session))
            .collect()
    }

    /// What the browser wrote, and its last events: for the report of a failure.
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
        // It may have ended already. Waited for, so that it writes no more to the directory that goes next.
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
    // What it leaves outside its profile when it is killed goes with the profile.
    command.env("TMPDIR", directory);
    // Chromium's sandbox refuses to run as root. The only page it opens is the project's own.
    if rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads the protocol to its end: answers go to those who wait for them, events are kept.
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
                // Who waited may have given up.
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
