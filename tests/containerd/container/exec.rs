//! A process started in a container by `ctr tasks exec`. `ctr` stays attached, so its streams and its exit code are those
//! of the process.

use crate::ctr;
use crate::node::Node;
use crate::terminal::Terminal;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use visits_tests::command::run_beside;
use visits_tests::{DEADLINE, wait};

/// The command line of a process that is not started yet. Made by `exec` of a container.
#[derive(Clone, Debug)]
pub(crate) struct ExecBuilder {
    namespace: &'static str,
    container: String,
    id: String,
    flags: Vec<OsString>,
    words: Vec<String>,
    input: Option<Vec<u8>>,
}

/// The exit code and the output of an exec that has ended.
#[derive(Clone, Debug)]
pub(crate) struct ExecOutcome {
    /// The exit code; 128 plus the signal's number if a signal ended the process.
    pub(crate) code: i32,
    /// The bytes on stdout.
    pub(crate) stdout: Vec<u8>,
    /// The text on stderr, without the warnings of `ctr`.
    pub(crate) stderr: String,
}

impl ExecOutcome {
    /// Returns stdout as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns the error of `ctr` itself, if there is one. Its exit code is 1, as that of many programs.
    fn refusal(&self) -> Option<&str> {
        let mut lines = self.stderr.lines();
        lines.find_map(|line| line.strip_prefix("ctr: "))
    }
}

impl ExecBuilder {
    /// Describes a process that runs these words in a container of this containerd namespace.
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

    /// Adds a flag of `ctr tasks exec`, such as `--cwd=/app`.
    pub(crate) fn flag(mut self, flag: impl Into<OsString>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Sets the bytes on stdin, which ends after them. Without this call stdin stays open.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Returns its id in the container.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the command line of `ctr`.
    fn command(&self) -> Result<Command> {
        let mut command = ctr::command(self.namespace, ["tasks", "exec", "--exec-id", &self.id])?;
        command
            .args(&self.flags)
            .arg(&self.container)
            .args(&self.words);
        Ok(command)
    }

    /// Runs it to its end. Fails if it does not start.
    pub(crate) async fn run(self, node: &Node) -> Result<ExecOutcome> {
        let outcome = self.clone().end(node).await?;
        match outcome.refusal() {
            Some(_) => Err(node.failed(&format!("{:?}: {}", self.words, outcome.stderr))),
            None => Ok(outcome),
        }
    }

    /// Returns the reason why it does not start. Fails if it starts.
    pub(crate) async fn refused(self, node: &Node) -> Result<String> {
        let outcome = self.clone().end(node).await?;
        match outcome.refusal() {
            Some(refusal) => Ok(refusal.to_owned()),
            None => bail!("{:?} ran: {outcome:?}", self.words),
        }
    }

    async fn end(mut self, node: &Node) -> Result<ExecOutcome> {
        let input = self.input.take();
        let mut exec = self.start()?;
        let Some(input) = input else {
            return exec.ended(node).await;
        };
        // In a task of its own: a process that ends without reading all of its input must not block the test.
        let mut stdin = exec.stdin.take().context("stdin is not piped")?;
        let write = tokio::spawn(async move { stdin.write_all(&input).await.map(|()| stdin) });
        // `ctr` does not close the input of an exec if the input ends before `ctr` has added the exec.
        exec.has_started().await?;
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
        let mut child = command.spawn().context("cannot start ctr")?;
        Ok(Exec {
            stdin: child.stdin.take(),
            stdout: Stream::collect(child.stdout.take().context("stdout is not piped")?),
            stderr: Stream::collect(child.stderr.take().context("stderr is not piped")?),
            child,
            builder: self,
        })
    }

    /// Starts it in a terminal of the usual size.
    pub(crate) fn in_terminal(&self) -> Result<Terminal> {
        Terminal::run(self.clone().flag("--tty").command()?)
    }

    /// Starts it in a terminal of this size.
    pub(crate) fn in_sized_terminal(&self, columns: u16, rows: u16) -> Result<Terminal> {
        Terminal::sized(self.clone().flag("--tty").command()?, columns, rows)
    }

    /// Returns its process as the node sees it, if the container's list of processes has it.
    pub(crate) async fn listed(&self) -> Result<Option<i32>> {
        let list = ctr::command(self.namespace, ["tasks", "ps", &self.container])?;
        let list = run_beside(list).await?;
        let name = format!("exec_id:\"{}\"", self.id);
        let line = list.lines().find(|line| line.contains(&name));
        let pid = line.and_then(|line| line.split_whitespace().next());
        Ok(pid.map(str::parse).transpose()?)
    }

    /// Sends its process a signal through the shim: `SIGTERM`.
    pub(crate) async fn signal(&self, signal: &str) -> Result<()> {
        let kill = ["tasks", "kill", "--signal", signal, "--exec-id", &self.id];
        let mut kill = ctr::command(self.namespace, kill)?;
        kill.arg(&self.container);
        run_beside(kill).await.map(drop)
    }
}

/// A process in a container while `ctr` is attached to it. On drop `ctr` is killed and the process stays.
#[derive(Debug)]
pub(crate) struct Exec {
    builder: ExecBuilder,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

impl Exec {
    /// Returns its id in the container.
    pub(crate) fn id(&self) -> &str {
        &self.builder.id
    }

    /// Waits until it runs and returns its process as the node sees it.
    pub(crate) async fn pid(&self) -> Result<i32> {
        let found = wait::until("the exec has a process", DEADLINE, async || {
            ensure!(!self.stderr.reader.is_finished(), "ctr has ended");
            self.builder.listed().await
        });
        self.with_output(found.await)
    }

    /// Returns its process, if the container's list of processes has it.
    pub(crate) async fn listed(&self) -> Result<Option<i32>> {
        self.builder.listed().await
    }

    /// Waits until it runs or has ended.
    async fn has_started(&self) -> Result<()> {
        let started = wait::until("the exec starts", DEADLINE, async || {
            if self.has_ended() {
                return Ok(Some(()));
            }
            Ok(self.builder.listed().await?.map(drop))
        });
        self.with_output(started.await)
    }

    /// Writes these bytes to its stdin.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        timeout(DEADLINE, stdin.write_all(bytes))
            .await
            .context("stdin is not read")??;
        Ok(())
    }

    /// Closes its stdin.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until its stdout contains this text.
    pub(crate) async fn prints(&self, wanted: &str) -> Result<()> {
        let what = format!("{wanted:?} on stdout");
        let printed = wait::until(&what, DEADLINE, async || {
            let ended = self.stdout.reader.is_finished();
            let printed = String::from_utf8_lossy(&self.stdout.bytes()).contains(wanted);
            ensure!(printed || !ended, "stdout has ended without {wanted:?}");
            Ok(printed.then_some(()))
        });
        self.with_output(printed.await)
    }

    /// Writes a line to a process that copies its input, and waits until it comes back.
    pub(crate) async fn echoes(&mut self, line: &str) -> Result<()> {
        self.write(line.as_bytes()).await?;
        self.prints(line).await
    }

    /// Sends it a signal through the shim: `SIGTERM`.
    pub(crate) async fn signal(&self, signal: &str) -> Result<()> {
        self.builder.signal(signal).await
    }

    /// Kills it and waits for its end.
    pub(crate) async fn killed(self, node: &Node) -> Result<ExecOutcome> {
        self.signal("SIGKILL").await?;
        self.ended(node).await
    }

    /// Whether both output streams have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.stdout.reader.is_finished() && self.stderr.reader.is_finished()
    }

    /// Kills `ctr`, which reads the output of the process and waits for its end.
    pub(crate) async fn kill_ctr(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self, node: &Node) -> Result<ExecOutcome> {
        // Kept open while the process runs: a test that wants its input to end closes it.
        let stdin = self.stdin.take();
        let ended = timeout(DEADLINE, self.child.wait()).await;
        drop(stdin);
        let Ok(status) = ended else {
            let error = anyhow!("the exec has not ended within {DEADLINE:?}");
            return node.with_log(self.with_output(Err(error)));
        };
        let status = status?;
        self.stdout.ended().await?;
        self.stderr.ended().await?;
        Ok(ExecOutcome {
            code: status.code().with_context(|| format!("ctr: {status}"))?,
            stdout: self.stdout.bytes(),
            stderr: without_warnings(&self.stderr.bytes()),
        })
    }

    /// Adds everything that the process has written to an error.
    fn with_output<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            anyhow!(
                "{error:#}; exec {} of {}: {:?}\n--- its stderr ---\n{}\n--- its stdout ---\n{}\n---",
                self.id(),
                self.builder.container,
                self.builder.words,
                String::from_utf8_lossy(&self.stderr.bytes()),
                String::from_utf8_lossy(&self.stdout.bytes())
            )
        })
    }
}

/// Removes the warnings that `ctr` prints on machines with cgroup version 1.
fn without_warnings(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.split_inclusive('\n')
        .filter(|line| !ctr::is_warning(line))
        .collect()
}

/// The bytes read from a pipe so far.
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
            .with_context(|| format!("a pipe of ctr has not ended within {DEADLINE:?}"))?
            .context("the reader of a pipe panicked")
    }
}
