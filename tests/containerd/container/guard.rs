//! A container that runs, or has run: signals, its output, its end, and its removal in any case.

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

/// How a container ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Its exit code; 128 and the signal's number when a signal ended it.
    pub(crate) code: i32,
    /// The lines it wrote to stdout.
    pub(crate) stdout: Vec<String>,
    /// The lines it wrote to stderr.
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
    /// Whether it is removed already.
    removed: bool,
    network: Network,
    directory: TempDir,
}

/// What a container needs before it can be started.
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) cgroup: String,
    pub(super) network: Network,
    pub(super) directory: TempDir,
}

impl Prepared {
    /// Runs this `ctr run`, which is attached to the container.
    pub(super) fn attached(self, mut command: Command) -> Result<Container> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("start ctr")?;
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

    /// A container that something else is attached to, which sees its output and its end.
    pub(super) fn beside(self) -> Container {
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
    /// Its name in containerd.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Its cgroup, as a path in each hierarchy.
    pub(crate) fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Where the component listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.network.address(), 5000)
    }

    /// What it writes to stdout.
    pub(crate) fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// What it has written to stderr.
    pub(crate) fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Its first process, as the node sees it.
    pub(crate) async fn pid(&self) -> Result<i32> {
        let path = self.directory.path().join("pid");
        wait::until("the container has a process", DEADLINE, async || {
            // Empty for the moment between its creation and its writing.
            Ok(std::fs::read_to_string(&path)
                .ok()
                .and_then(|pid| pid.trim().parse().ok()))
        })
        .await
        .map_err(|error| self.failed(&format!("{error:#}")))
    }

    /// The state of its task as `ctr` lists it: `RUNNING`, `PAUSED`.
    pub(crate) async fn state(&self) -> Result<String> {
        let list = ctr::run(["tasks", "ls"]).await?;
        let state = list.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(&self.id)).then(|| words.nth(1))?
        });
        Ok(state.with_context(|| list.clone())?.to_owned())
    }

    /// Waits until its first process runs, and returns that: the file with its number is there a moment before.
    pub(crate) async fn runs(&self) -> Result<i32> {
        wait::until("the container runs", DEADLINE, async || {
            let exited = *self.exited.borrow();
            // One that starts it and does not wait has ended with 0.
            ensure!(exited.is_none_or(|code| code == 0), "it has ended");
            let state = self.state().await.ok();
            Ok(state.is_some_and(|state| state == "RUNNING").then_some(()))
        })
        .await
        .map_err(|error| self.failed(&format!("{error:#}")))?;
        self.pid().await
    }

    /// Runs these words in it, beside its first process.
    pub(crate) fn exec<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> ExecBuilder {
        ExecBuilder::new(ctr::NAMESPACE, &self.id, words)
    }

    /// Runs this line of shell in it, where there is a shell.
    pub(crate) fn shell(&self, script: &str) -> ExecBuilder {
        self.exec(["/tools/sh", "-c", script])
    }

    /// Waits until it takes connections.
    pub(crate) async fn listens(&self, node: &Node) -> Result<()> {
        let address = self.address();
        wait::until("the container listens", DEADLINE, async || {
            let exited = *self.exited.borrow();
            if let Some(code) = exited {
                return Err(anyhow!("the container has ended with {code}"));
            }
            let connecting = TcpStream::connect(address);
            let connected = tokio::time::timeout(Duration::from_secs(1), connecting).await;
            Ok(matches!(connected, Ok(Ok(_))).then_some(()))
        })
        .await
        .map_err(|error| node.failed(&format!("{:#}", self.failed(&format!("{error:#}")))))
    }

    /// Waits for a line on stderr that contains this, and returns it.
    pub(crate) async fn logs(&self, wanted: &str) -> Result<String> {
        let found = |line: &str| line.contains(wanted).then(|| line.to_owned());
        let line = self.stderr.find(DEADLINE, found).await;
        line.with_context(|| {
            self.failed(&format!("no line on stderr says {wanted:?}"))
                .to_string()
        })
    }

    /// Sends its first process a signal: `SIGTERM`.
    pub(crate) async fn signal(&self, signal: &str) -> Result<()> {
        let kill = ctr::run(["tasks", "kill", "--signal", signal, &self.id]);
        kill.await
            .map(drop)
            .with_context(|| self.failed("the container takes no signal").to_string())
    }

    /// Whether it has ended, or could not be started.
    pub(crate) fn has_exited(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// Waits until it has ended or could not be started; the exit code of `ctr`.
    pub(crate) async fn exited(&self, node: &Node) -> Result<i32> {
        let mut exited = self.exited.clone();
        match tokio::time::timeout(DEADLINE, exited.wait_for(Option::is_some)).await {
            Ok(Ok(code)) => Ok(code.expect("waited for")),
            _ => {
                let what = self.failed(&format!("it has not ended within {DEADLINE:?}"));
                Err(node.failed(&format!("{what:#}")))
            }
        }
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self, node: &Node) -> Result<Ended> {
        let code = self.exited(node).await?;
        self.stdout.ended(DEADLINE).await;
        self.stderr.ended(DEADLINE).await;
        let stdout = self.stdout.lines();
        let mut stderr = self.stderr.lines();
        stderr.retain(|line| !is_said_by_ctr(line));
        // Its own errors `ctr` ends with 1, too: they are no end of a container.
        if let Some(line) = stderr.iter().find(|line| line.starts_with("ctr: ")) {
            return Err(node.failed(line));
        }
        Ok(Ended {
            code,
            stdout,
            stderr,
        })
    }

    /// Stops it as Kubernetes would.
    pub(crate) async fn stop(&self, node: &Node) -> Result<Ended> {
        self.signal("SIGTERM").await?;
        self.ended(node).await
    }

    /// Removes an ended container with all that containerd keeps of it.
    pub(crate) async fn remove(mut self) -> Result<()> {
        self.removed = true;
        ctr::run(["containers", "rm", &self.id]).await.map(drop)
    }

    /// An error that carries everything the container has written.
    pub(crate) fn failed(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{what}; {} has exited: {:?}\n--- its stderr ---\n{}\n--- its stdout ---\n{}\n---",
            self.id,
            *self.exited.borrow(),
            self.stderr.lines().join("\n"),
            self.stdout.lines().join("\n")
        )
    }

    /// Kills and removes what is there. Every command has a deadline; what fails is told and goes on.
    fn clear(&self) -> Result<()> {
        if self.exited.borrow().is_none() {
            let kill = ["tasks", "rm", "--force", &self.id];
            // A container whose end `ctr run` sees first has no task any more.
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

/// On machines with the old cgroups `ctr` begins with a warning of its own.
pub(super) fn is_said_by_ctr(line: &str) -> bool {
    line.starts_with("time=") && line.contains("DEPRECATION")
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.failed("the test failed"));
        }
        if !self.removed
            && let Err(error) = self.clear()
        {
            eprintln!("note: container {} is left behind: {error:#}", self.id);
        }
    }
}
