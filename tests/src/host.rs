//! A guard around one real `preopen` process.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use visits_tests::{App, DEADLINE, Host, Signal, artifacts, get};
//!
//! let app = App::new(&artifacts::hello_wasm()?)?;
//! let host = Host::of(&app).arg("--request-timeout=1s").start().await?;
//! assert_eq!(get(host.address(), "/").await?.text(), "hello\n");
//! host.signal(Signal::TERM)?;
//! assert_eq!(host.wait_exit(DEADLINE).await?.code, Some(0));
//! # Ok(())
//! # }
//! ```

use crate::output::Output;
use crate::{App, DEADLINE, artifacts};
use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;

pub use rustix::process::Signal;

/// Where all hosts of this test process keep compiled code, so that each component is compiled once:
/// `PREOPEN_TEST_CACHE` when set, else a directory that lives as long as the process.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| match std::env::var_os("PREOPEN_TEST_CACHE") {
    Some(directory) => directory.into(),
    // Not removed: a static is never dropped, and hosts of other threads use it until the end.
    None => TempDir::new()
        .expect("a temporary directory for compiled code")
        .keep(),
});

/// How a host is started. Made by [`Host::of`] or [`HostBuilder::new`].
#[derive(Clone, Debug)]
pub struct HostBuilder {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    address: SocketAddr,
    cache: bool,
    shell: Option<String>,
    start: Duration,
}

impl HostBuilder {
    /// A host that runs the manifest at this path, on a free port of 127.0.0.1.
    pub fn new(manifest: impl AsRef<Path>) -> Self {
        Self {
            arguments: vec![manifest.as_ref().into()],
            environment: Vec::new(),
            directory: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            cache: true,
            shell: None,
            start: DEADLINE,
        }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A variable of the host's own environment, which else is the test's.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The host's current directory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Listens here instead of on a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Gives no `--cache-dir`, for tests that give their own.
    pub fn without_shared_cache(mut self) -> Self {
        self.cache = false;
        self
    }

    /// A line of shell that runs in the host's process before the host does: for limits that it is to inherit.
    pub fn shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    /// Gives the host so long to start, for components that take longer to compile than [`DEADLINE`].
    pub fn start_within(mut self, deadline: Duration) -> Self {
        self.start = deadline;
        self
    }

    /// Starts the host and waits until it listens.
    pub async fn start(self) -> Result<Host> {
        let deadline = self.start;
        let mut host = self.spawn()?;
        let url = host
            .stderr
            .find(deadline, |line| field(line, "listening", "url"))
            .await;
        match url.as_deref().and_then(|url| url.strip_prefix("http://")) {
            Some(address) => {
                host.address = address
                    .parse()
                    .context("the address that the host logged")?
            }
            None => return Err(host.failed("the host does not listen")),
        }
        Ok(host)
    }

    /// Starts the host and waits for nothing: for a host that is to refuse its input. [`Host::address`] is then
    /// the address asked for.
    pub fn spawn(self) -> Result<Host> {
        let binary = artifacts::preopen()?;
        let mut command = match &self.shell {
            Some(line) => through_shell(line, &binary),
            None => Command::new(&binary),
        };
        command.args(&self.arguments).envs(self.environment);
        command.arg("--listen").arg(self.address.to_string());
        command.args(["--log-format", "json"]);
        if self.cache {
            command.arg("--cache-dir").arg(&*CACHE);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        spawn(command, self.address).with_context(|| format!("start {}", binary.display()))
    }
}

/// A running host process; it is killed on drop.
#[derive(Debug)]
pub struct Host {
    pid: Pid,
    address: SocketAddr,
    stdout: Output,
    stderr: Output,
    /// Taken by the waiting thread to reap the process. A signal is only sent under this lock and while there is
    /// no exit, so never to a process that took over a reaped one's id.
    exit: Arc<Mutex<Option<Exit>>>,
    exited: watch::Receiver<Option<Exit>>,
}

/// How a process ended: by a code or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Host {
    /// How a host for this application is started.
    pub fn of(app: &App) -> HostBuilder {
        HostBuilder::new(app.manifest())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// What it has written to stdout.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// What it has written to stderr: its log, as one JSON object a line, and the component's own stderr.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Sends a signal; an error when the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let exit = self.exit.lock().expect("no holder panics");
        match *exit {
            None => kill_process(self.pid, signal).context("send the host a signal"),
            Some(exit) => Err(anyhow!("the host has ended already: {exit:?}")),
        }
    }

    /// Kills it as a power cut would, and waits for its end.
    pub async fn kill9(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait_exit(DEADLINE).await.map(drop)
    }

    /// Waits for its end; an error with its output when `deadline` passes before.
    pub async fn wait_exit(&self, deadline: Duration) -> Result<Exit> {
        let mut exited = self.exited.clone();
        let exit = tokio::time::timeout(deadline, exited.wait_for(Option::is_some)).await;
        let exit = match exit {
            Ok(Ok(exit)) => exit.expect("waited for"),
            _ => return Err(self.failed(&format!("the host did not end within {deadline:?}"))),
        };
        self.stdout.ended(DEADLINE).await;
        self.stderr.ended(DEADLINE).await;
        Ok(exit)
    }

    /// Waits for a log line whose message contains `message`, and returns the whole line, a JSON object.
    pub async fn wait_log(&self, message: &str) -> Result<serde_json::Value> {
        let wanted = |line: &str| {
            let log: serde_json::Value = serde_json::from_str(line).ok()?;
            log["fields"]["message"]
                .as_str()?
                .contains(message)
                .then_some(log)
        };
        match self.stderr.find(DEADLINE, wanted).await {
            Some(log) => Ok(log),
            None => Err(self.failed(&format!("no log line says {message:?}"))),
        }
    }

    /// An error that carries everything the host has written.
    pub fn failed(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{what}; exit: {:?}\n--- stderr of the host ---\n{}\n--- stdout of the host ---\n{}\n---",
            *self.exit.lock().expect("no holder panics"),
            self.stderr.lines().join("\n"),
            self.stdout.lines().join("\n")
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.signal(Signal::KILL);
        if std::thread::panicking() {
            eprintln!("{}", self.failed("the test failed"));
        }
    }
}

/// A shell that becomes the program after this line; what is added to the command are the program's arguments.
fn through_shell(line: &str, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{line} && exec \"$0\" \"$@\"")])
        .arg(program);
    command
}

fn spawn(mut command: Command, address: SocketAddr) -> Result<Host> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = Output::collect(child.stdout.take().expect("piped"));
    let stderr = Output::collect(child.stderr.take().expect("piped"));
    let pid = Pid::from_child(&child);
    let exit = Arc::new(Mutex::new(None));
    let (exited_tx, exited) = watch::channel(None);
    let shared = exit.clone();
    std::thread::spawn(move || exited_tx.send_replace(reap(child, pid, &shared)));
    Ok(Host {
        pid,
        address,
        stdout,
        stderr,
        exit,
        exited,
    })
}

/// Waits for the end of the process and only then, under the lock, gives its id back to the system.
fn reap(mut child: Child, pid: Pid, shared: &Mutex<Option<Exit>>) -> Option<Exit> {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), ended) {}
    let mut exit = shared.lock().expect("no holder panics");
    let status = child.wait().ok();
    *exit = Some(Exit {
        code: status.and_then(|status| status.code()),
        signal: status.and_then(|status| status.signal()),
    });
    *exit
}

/// The field of a JSON log line with exactly this message.
fn field(line: &str, message: &str, name: &str) -> Option<String> {
    let log: serde_json::Value = serde_json::from_str(line).ok()?;
    (log["fields"]["message"] == message).then_some(())?;
    Some(log["fields"][name].as_str()?.to_owned())
}
