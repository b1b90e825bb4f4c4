//! A running or ended container: its output, signals, its end. It is removed on drop.

use super::ExecBuilder;
use crate::ctr;
use crate::network::Network;
use crate::node::Node;
use anyhow::{Context, Result, anyhow, ensure};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use visits_tests::output::Output;
use visits_tests::{DEADLINE, command, wait};

/// The exit code and the output of a container that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The exit code; 128 plus the signal's number if a signal ended its first process.
    pub(crate) code: i32,
    /// The lines on stdout.
    pub(crate) stdout: Vec<String>,
    /// The lines on stderr, without the warnings of `ctr`.
    pub(crate) stderr: Vec<String>,
}

/// A container; it is killed and removed on drop.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
    cgroup: String,
    stdout: Output,
    stderr: Output,
    exited: watch::Receiver<Option<i32>>,
    /// Whether the test has removed it.
    removed: bool,
    network: Network,
    directory: TempDir,
}

/// The resources of a container that is not started yet.
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) cgroup: String,
    pub(super) network: Network,
    pub(super) directory: TempDir,
}

impl Prepared {
    /// Runs this `ctr run` and stays attached to the container.
    pub(super) fn attached(self, mut command: Command) -> Result<Container> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start ctr")?;
        let stdout = Output::collect(child.stdout.take().expect("piped"));
        let stderr = Output::collect(child.stderr.take().expect("piped"));
        let (exited_tx, exited) = watch::channel(None);
        std::thread::spawn(move || {
            let code = child.wait().ok().and_then(|status| {
                let signalled = || status.signal().map(|signal| 128 + signal);
                status.code().or_else(signalled)
            });
            exited_tx.send_replace(Some(code.unwrap_or(-1)));
        });
        Ok(self.guard(stdout, stderr, exited))
    }

    /// Guards a container whose output and end are seen by something else, such as a terminal.
    pub(super) fn detached(self) -> Container {
        let none = || Output::collect(std::io::empty());
        self.guard(none(), none(), watch::channel(None).1)
    }

    fn guard(
        self,
        stdout: Output,
        stderr: Output,
        exited: watch::Receiver<Option<i32>>,
    ) -> Container {
        Container {
            id: self.id,
            cgroup: self.cgroup,
            stdout,
            stderr,
            exited,
            removed: false,
            network: self.network,
            directory: self.directory,
        }
    }
}

impl Container {
    /// Returns its id in containerd.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns its cgroup: the path in every hierarchy.
    pub(crate) fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Returns the address on which it is expected to listen.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.network.address(), 5000)
    }

    /// Returns its stdout.
    pub(crate) fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// Returns its stderr.
    pub(crate) fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Returns its first process as the node sees it.
    pub(crate) async fn pid(&self) -> Result<i32> {
        let path = self.directory.path().join("pid");
        let pid = wait::until("the container has a process", DEADLINE, async || {
            // The file exists for a moment before the number is in it.
            Ok(std::fs::read_to_string(&path)
                .ok()
                .and_then(|pid| pid.trim().parse().ok()))
        });
        self.with_output(pid.await)
    }

    /// Returns the state of its task as `ctr` lists it: `RUNNING`, `PAUSED`.
    pub(crate) async fn state(&self) -> Result<String> {
        let list = ctr::run(["tasks", "ls"]).await?;
        let state = list.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(&self.id)).then(|| words.nth(1))?
        });
        Ok(state.with_context(|| list.clone())?.to_owned())
    }

    /// Waits until its first process runs and returns it. (The process exists a moment before it runs.)
    pub(crate) async fn runs(&self) -> Result<i32> {
        let runs = wait::until("the container runs", DEADLINE, async || {
            let exited = *self.exited.borrow();
            // `ctr run --detach` ends with 0 while the container runs.
            ensure!(
                exited.is_none_or(|code| code == 0),
                "the container has ended"
            );
            let state = self.state().await.ok();
            Ok(state.is_some_and(|state| state == "RUNNING").then_some(()))
        });
        self.with_output(runs.await)?;
        self.pid().await
    }

    /// Describes a process that runs these words beside its first one.
    pub(crate) fn exec<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> ExecBuilder {
        ExecBuilder::new(ctr::NAMESPACE, &self.id, words)
    }

    /// Describes a process that runs this line of shell. The image must have a shell.
    pub(crate) fn shell(&self, script: &str) -> ExecBuilder {
        self.exec(["/tools/sh", "-c", script])
    }

    /// Waits until it accepts connections.
    pub(crate) async fn listens(&self, node: &Node) -> Result<()> {
        let address = self.address();
        let listens = wait::until("the container listens", DEADLINE, async || {
            let exited = *self.exited.borrow();
            if let Some(code) = exited {
                return Err(anyhow!("the container has ended with {code}"));
            }
            let connecting = TcpStream::connect(address);
            let connected = tokio::time::timeout(Duration::from_secs(1), connecting).await;
            Ok(matches!(connected, Ok(Ok(_))).then_some(()))
        });
        node.with_log(self.with_output(listens.await))
    }

    /// Waits until a client is connected to port 5000.
    pub(crate) async fn has_connection(&self) -> Result<()> {
        let pid = self.pid().await?;
        wait::until("a client is connected", DEADLINE, async || {
            let mut sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
            sockets += &std::fs::read_to_string(format!("/proc/{pid}/net/tcp6"))?;
            // 1388 is port 5000, and 01 is ESTABLISHED.
            Ok(sockets
                .lines()
                .any(|line| line.contains(":1388 ") && line.contains(" 01 "))
                .then_some(()))
        })
        .await
    }

    /// Waits for a line on stderr that contains this text and returns it.
    pub(crate) async fn logs(&self, wanted: &str) -> Result<String> {
        let found = |line: &str| line.contains(wanted).then(|| line.to_owned());
        let line = self.stderr.find(DEADLINE, found).await;
        line.with_context(|| {
            self.failed(&format!("no line on stderr contains {wanted:?}"))
                .to_string()
        })
    }

    /// Sends its first process a signal: `SIGTERM`.
    pub(crate) async fn signal(&self, signal: &str) -> Result<()> {
        let kill = ctr::run(["tasks", "kill", "--signal", signal, &self.id]);
        kill.await
            .map(drop)
            .with_context(|| self.failed("the signal was not sent").to_string())
    }

    /// Whether it has ended or could not be started.
    pub(crate) fn has_exited(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// Waits until it has ended or could not be started, and all that was written has arrived. Returns the exit code of `ctr`.
    pub(crate) async fn exited(&self, node: &Node) -> Result<i32> {
        let mut exited = self.exited.clone();
        match tokio::time::timeout(DEADLINE, exited.wait_for(Option::is_some)).await {
            Ok(Ok(code)) => {
                let code = code.expect("waited for");
                self.stdout.ended(DEADLINE).await;
                self.stderr.ended(DEADLINE).await;
                Ok(code)
            }
            _ => {
                let error = anyhow!("the container has not ended within {DEADLINE:?}");
                node.with_log(self.with_output(Err(error)))
            }
        }
    }

    /// Waits for its end. Fails if it could not be started.
    pub(crate) async fn ended(&self, node: &Node) -> Result<Outcome> {
        let code = self.exited(node).await?;
        let stdout = self.stdout.lines();
        let mut stderr = self.stderr.lines();
        stderr.retain(|line| !ctr::is_warning(line));
        // `ctr` also exits with 1 for an error of its own, which is not an end of the container.
        if let Some(line) = stderr.iter().find(|line| line.starts_with("ctr: ")) {
            return Err(node.failed(line));
        }
        Ok(Outcome {
            code,
            stdout,
            stderr,
        })
    }

    /// Stops it as Kubernetes does first, with SIGTERM, and waits for its end.
    pub(crate) async fn stop(&self, node: &Node) -> Result<Outcome> {
        self.signal("SIGTERM").await?;
        self.ended(node).await
    }

    /// Removes an ended container and everything that containerd keeps of it.
    pub(crate) async fn remove(mut self) -> Result<()> {
        self.removed = true;
        ctr::run(["containers", "rm", &self.id]).await.map(drop)
    }

    /// Returns an error with everything that the container has written.
    pub(crate) fn failed(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{what}; exit code of {}: {:?}\n--- its stderr ---\n{}\n--- its stdout ---\n{}\n---",
            self.id,
            *self.exited.borrow(),
            self.stderr.lines().join("\n"),
            self.stdout.lines().join("\n")
        )
    }

    /// Adds everything that the container has written to an error.
    pub(crate) fn with_output<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.failed(&format!("{error:#}")))
    }

    /// Kills and removes the container. Every command has a deadline.
    fn clear(&self) -> Result<()> {
        if self.exited.borrow().is_none() {
            let kill = ["tasks", "rm", "--force", &self.id];
            // Fails if `ctr run` has seen the end and removed the task.
            let _ = command::run(ctr::command(ctr::NAMESPACE, kill)?);
        }
        let removed = command::run(ctr::command(
            ctr::NAMESPACE,
            ["containers", "rm", &self.id],
        )?);
        ensure!(
            removed.is_ok() || !format!("{removed:?}").contains("running"),
            "{removed:?}"
        );
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.failed("the test failed"));
        }
        if !self.removed
            && let Err(error) = self.clear()
        {
            eprintln!("note: cannot remove container {}: {error:#}", self.id);
        }
    }
}
