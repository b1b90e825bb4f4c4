//! A process beside a container's first one: `ctr tasks exec`, attached to it, so that its streams and its exit code
//! are those of the process.

use crate::ctr;
use crate::node::Node;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use visits_tests::{DEADLINE, wait};

/// How a process is started in a container. Made by `exec` of a container.
#[derive(Clone, Debug)]
pub(crate) struct ExecBuilder {
    namespace: &'static str,
    container: String,
    id: String,
    flags: Vec<OsString>,
    words: Vec<String>,
    input: Option<Vec<u8>>,
}

/// How a process ended.
#[derive(Clone, Debug)]
pub(crate) struct Execed {
    /// Its exit code; 128 and the signal's number when a signal ended it.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub(crate) stderr: String,
}

impl Execed {
    /// What it wrote to stdout, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The error of `ctr` itself, which ends with 1, too, if it is one.
    fn refusal(&self) -> Option<&str> {
        let mut lines = self.stderr.lines();
        lines.find_map(|line| line.strip_prefix("ctr: "))
    }
}

impl ExecBuilder {
    /// Runs these words in this container of containerd.
    pub(crate) fn new<'a>(
        namespace: &'static str,
        container: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            namespace,
            container: container.to_owned(),
            id: format!("e{}", LAST.fetch_add(1, Ordering::Relaxed) + 1),
            flags: Vec::new(),
            words: words.into_iter().map(str::to_owned).collect(),
            input: None,
        }
    }

    /// A flag of `ctr tasks exec`, such as `--cwd=/app`.
    pub(crate) fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// What it reads on stdin before that ends. Without a call stdin stays open.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Its id in the container.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The command line of `ctr`.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = ctr::command(self.namespace, ["tasks", "exec", "--exec-id", &self.id])?;
        command
            .args(&self.flags)
            .arg(&self.container)
            .args(&self.words);
        Ok(command)
    }

    /// Runs it to its end.
    pub(crate) async fn run(self, node: &Node) -> Result<Execed> {
        let execed = self.clone().end(node).await?;
        match execed.refusal() {
            Some(_) => Err(node.failed(&format!("{:?}: {}", self.words, execed.stderr))),
            None => Ok(execed),
        }
    }

    /// Returns why it does not start.
    pub(crate) async fn refused(self, node: &Node) -> Result<String> {
        let execed = self.clone().end(node).await?;
        match execed.refusal() {
            Some(refusal) => Ok(refusal.to_owned()),
            None => bail!("{:?} ran: {execed:?}", self.words),
        }
    }

    async fn end(mut self, node: &Node) -> Result<Execed> {
        let input = self.input.take();
        let mut exec = self.start()?;
        let Some(input) = input else {
            return exec.ended(node).await;
        };
        // Something that ends before it has read all must not keep the test from its end.
        let mut stdin = exec.stdin.take().context("its stdin")?;
        let write = tokio::spawn(async move { stdin.write_all(&input).await.map(|()| stdin) });
        // `ctr` forgets to close the input of an exec if it ends before `ctr` has added the exec.
        exec.has_begun().await?;
        let close = tokio::spawn(async move { drop(write.await) });
        let ended = exec.ended(node).await;
        close.abort();
        ended
    }

    /// Starts it and returns with stdin open.
    pub(crate) fn start(self) -> Result<Exec> {
        let mut command = tokio::process::Command::from(self.command()?);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("start ctr")?;
        Ok(Exec {
            stdin: child.stdin.take(),
            stdout: Stream::collect(child.stdout.take().context("its stdout")?),
            stderr: Stream::collect(child.stderr.take().context("its stderr")?),
            child,
            builder: self,
        })
    }
}

/// A process in a container, while `ctr` is attached to it. On drop `ctr` is killed, and the process stays.
#[derive(Debug)]
pub(crate) struct Exec {
    builder: ExecBuilder,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

impl Exec {
    /// Its id in the container.
    pub(crate) fn id(&self) -> &str {
        &self.builder.id
    }

    /// Its process as the node sees it, as soon as it runs.
    pub(crate) async fn pid(&self) -> Result<i32> {
        let found = wait::until("the exec has a process", DEADLINE, async || {
            ensure!(!self.stderr.reader.is_finished(), "ctr has ended");
            pid_of(self.builder.namespace, &self.builder.container, self.id()).await
        });
        found
            .await
            .map_err(|error| self.failed(&format!("{error:#}")))
    }

    /// Waits until it runs, or has ended already.
    async fn has_begun(&self) -> Result<()> {
        wait::until("the exec begins", DEADLINE, async || {
            if self.has_ended() {
                return Ok(Some(()));
            }
            let pid = pid_of(self.builder.namespace, &self.builder.container, self.id()).await?;
            Ok(pid.map(drop))
        })
        .await
        .map_err(|error| self.failed(&format!("{error:#}")))
    }

    /// Writes this to its stdin.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        timeout(DEADLINE, stdin.write_all(bytes))
            .await
            .map_err(|_| anyhow!("nobody reads its stdin"))??;
        Ok(())
    }

    /// Ends its stdin.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has written this to stdout.
    pub(crate) async fn says(&self, wanted: &str) -> Result<()> {
        let what = format!("{wanted:?} on stdout");
        let said = wait::until(&what, DEADLINE, async || {
            let ended = self.stdout.reader.is_finished();
            let said = String::from_utf8_lossy(&self.stdout.bytes()).contains(wanted);
            ensure!(said || !ended, "its stdout has ended without {wanted:?}");
            Ok(said.then_some(()))
        });
        said.await
            .map_err(|error| self.failed(&format!("{error:#}")))
    }

    /// Sends it a signal through the shim: `SIGTERM`.
    pub(crate) async fn signal(&self, signal: &str) -> Result<()> {
        let builder = &self.builder;
        let line = [
            "tasks",
            "kill",
            "--signal",
            signal,
            "--exec-id",
            self.id(),
            &builder.container,
        ];
        let kill = visits_tests::command::run_beside(ctr::command(builder.namespace, line)?);
        kill.await.map(drop)
    }

    /// Whether `ctr` has nothing more to print.
    pub(crate) fn has_ended(&self) -> bool {
        self.stdout.reader.is_finished() && self.stderr.reader.is_finished()
    }

    /// Kills `ctr`, which reads its output and waits for its end.
    pub(crate) async fn abandon(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self, node: &Node) -> Result<Execed> {
        // Open until then: a process whose end depends on its input is ended by the test.
        let stdin = self.stdin.take();
        let ended = timeout(DEADLINE, self.child.wait()).await;
        drop(stdin);
        let Ok(status) = ended else {
            let what = self.failed(&format!("it has not ended within {DEADLINE:?}"));
            return Err(node.failed(&format!("{what:#}")));
        };
        let status = status?;
        self.stdout.ended().await?;
        self.stderr.ended().await?;
        Ok(Execed {
            code: status.code().with_context(|| format!("ctr: {status}"))?,
            stdout: self.stdout.bytes(),
            stderr: without_warnings(&self.stderr.bytes()),
        })
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{what}; exec {} of {}: {:?}\n--- its stderr ---\n{}\n--- its stdout ---\n{}\n---",
            self.id(),
            self.builder.container,
            self.builder.words,
            String::from_utf8_lossy(&self.stderr.bytes()),
            String::from_utf8_lossy(&self.stdout.bytes())
        )
    }
}

/// The process of an exec, from the list of the container's processes, where the shim names it.
pub(crate) async fn pid_of(namespace: &str, container: &str, id: &str) -> Result<Option<i32>> {
    let list = ctr::command(namespace, ["tasks", "ps", container])?;
    let list = visits_tests::command::run_beside(list).await?;
    let name = format!("exec_id:\"{id}\"");
    let line = list.lines().find(|line| line.contains(&name));
    let pid = line.and_then(|line| line.split_whitespace().next());
    Ok(pid.map(str::parse).transpose()?)
}

/// What `ctr` says itself on machines with the old cgroups is left out.
fn without_warnings(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.split_inclusive('\n')
        .filter(|line| !super::guard::is_said_by_ctr(line))
        .collect()
}

/// The bytes read so far from a pipe.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn collect(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let collected = bytes.clone();
        let reader = tokio::spawn(async move {
            let mut piece = vec![0; 64 << 10];
            while let Ok(read @ 1..) = pipe.read(&mut piece).await {
                let mut bytes = collected.lock().expect("no reader panics");
                bytes.extend_from_slice(&piece[..read]);
            }
        });
        Self { bytes, reader }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().expect("no reader panics").clone()
    }

    /// Waits until the pipe has ended.
    async fn ended(&mut self) -> Result<()> {
        timeout(DEADLINE, &mut self.reader)
            .await
            .context("the pipe has not ended")?
            .context("its reader")
    }
}
