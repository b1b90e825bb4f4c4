//! A real `preopen` process under guard.
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
use crate::{App, DEADLINE, artifacts, environment, wait};
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

/// The cache directory of all hosts of this test process, so that each component is compiled once: `PREOPEN_TEST_CACHE`, or
/// a temporary directory if that is not set.
static CACHE: LazyLock<PathBuf> = LazyLock::new(|| match environment::HOST_CACHE.get() {
    Some(directory) => directory.into(),
    // Never removed: statics are not dropped, and hosts of other threads use it until the end.
    None => TempDir::new()
        .expect("a temporary directory for compiled code can be made")
        .keep(),
});

/// The command line of a host that is not started yet. Made by [`Host::of`] or [`HostBuilder::new`].
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
    /// Describes a host that runs the manifest at this path on a free port of 127.0.0.1.
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

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the host's own environment, which is otherwise that of the test.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the host's current directory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Listens on this address instead of on a free port.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Passes no `--cache-dir`, for tests that pass their own.
    pub fn without_shared_cache(mut self) -> Self {
        self.cache = false;
        self
    }

    /// Runs a line of shell in the host's process before the host, for limits that the host inherits.
    pub fn shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    /// Sets the time for the start, for components that take longer than [`DEADLINE`] to compile.
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
                    .context("the host logged an invalid address")?
            }
            None => return Err(host.failed("the host does not listen")),
        }
        Ok(host)
    }

    /// Starts the host without waiting, for hosts that must refuse their input. [`Host::address`] is then the configured
    /// address.
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
        spawn(command, self.address).with_context(|| format!("cannot start {}", binary.display()))
    }
}

/// A running host process. It is killed on drop.
#[derive(Debug)]
pub struct Host {
    pid: Pid,
    address: SocketAddr,
    stdout: Output,
    stderr: Output,
    /// The exit, once the process was reaped. Signals are sent under this lock and only before the exit, so never to another
    /// process that has got the same id.
    exit: Arc<Mutex<Option<Exit>>>,
    exited: watch::Receiver<Option<Exit>>,
}

/// The end of a process: its exit code or its signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal, if one ended it.
    pub signal: Option<i32>,
}

impl Host {
    /// Describes a host for this application.
    pub fn of(app: &App) -> HostBuilder {
        HostBuilder::new(app.manifest()).args(app.host_arguments().iter().copied())
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://ADDRESS`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until the host has no file open at this path. The counter keeps its files open for a moment after a visit.
    ///
    /// # Errors
    /// Fails if the file stays open.
    pub async fn closed(&self, path: &Path) -> Result<()> {
        let what = format!("the host closes {}", path.display());
        wait::until(&what, DEADLINE, async || {
            let entries = std::fs::read_dir(format!("/proc/{}/fd", self.pid()))?;
            // A descriptor may be closed meanwhile.
            let mut links = entries
                .flatten()
                .filter_map(|fd| std::fs::read_link(fd.path()).ok());
            Ok((!links.any(|link| link == path)).then_some(()))
        })
        .await
    }

    /// Returns its stdout.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// Returns its stderr: its log, with one JSON object per line, and the component's stderr.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Sends a signal. Fails if the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let exit = self.exit.lock().expect("no holder panics");
        match *exit {
            None => kill_process(self.pid, signal).context("cannot send the host a signal"),
            Some(exit) => Err(anyhow!("the host has ended already: {exit:?}")),
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    pub async fn kill9(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait_exit(DEADLINE).await.map(drop)
    }

    /// Waits for its end, and reads the rest of its output. After the deadline it fails with the host's output.
    pub async fn wait_exit(&self, deadline: Duration) -> Result<Exit> {
        let mut exited = self.exited.clone();
        let exit = tokio::time::timeout(deadline, exited.wait_for(Option::is_some)).await;
        let exit = match exit {
            Ok(Ok(exit)) => exit.expect("waited for"),
            _ => return Err(self.failed(&format!("the host did not end within {deadline:?}"))),
        };
        for output in [&self.stdout, &self.stderr] {
            output.resume();
            output.ended(DEADLINE).await;
        }
        Ok(exit)
    }

    /// Waits for a log line whose message contains `message` and returns the line, a JSON object.
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
            None => Err(self.failed(&format!("no log message contains {message:?}"))),
        }
    }

    /// Returns an error with everything that the host has written.
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

/// Returns a command that runs this line of shell and then becomes the program. Its arguments are those of the program.
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

/// Waits for the end of the process, and only then reaps it under the lock, which frees its id.
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

/// Returns a field of a JSON log line that has exactly this message.
fn field(line: &str, message: &str, name: &str) -> Option<String> {
    let log: serde_json::Value = serde_json::from_str(line).ok()?;
    (log["fields"]["message"] == message).then_some(())?;
    Some(log["fields"][name].as_str()?.to_owned())
}
