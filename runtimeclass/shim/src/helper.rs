//! Calls of this binary in a process of its own, which libcontainer wants (see the crate's documentation).

use crate::exits::Exits;
use crate::request::{Request, Response};
use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// The first argument of the binary in this role.
pub(crate) const ROLE: &str = "container";

/// The running binary itself, even when the file has been replaced by a newer one since.
pub(crate) const MYSELF: &str = "/proc/self/exe";

/// What tells the allocator, when a process starts, not to ask for huge pages: each pod has a few processes that touch
/// little of what a huge page brings. Without it a pod takes three times the memory.
pub(crate) const SMALL_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// How long one call may take. The longest is a create that has a component compiled, which has a limit of its own
/// below this one.
const DEADLINE: Duration = Duration::from_secs(150);

/// This binary, to be started with these arguments in a process that knows nothing of this one's environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(MYSELF);
    command
        .arg0("containerd-shim-preopen-v1")
        .arg(ROLE)
        .args(arguments)
        .env_clear()
        .env(SMALL_PAGES.0, SMALL_PAGES.1);
    command
}

/// Has `request` answered, and logs what the process had to say on the way.
pub(crate) async fn call(request: &Request) -> Result<Response> {
    let (verb, id) = match request {
        Request::Create(create) => ("create", &create.place.id),
        Request::Start(place) => ("start", &place.id),
        Request::Delete(place) => ("delete", &place.id),
    };
    // Before the process exists, so that its end cannot be missed.
    let mut exits = Exits::subscribe().await?;
    // Memory and no pipe: the container's process keeps it open while it waits to be started.
    let mut said = memory("said")?;
    let mut child = spawn(verb, id, request, said.try_clone()?)
        .with_context(|| format!("start {MYSELF} to {verb} {id}"))?;
    let answered = tokio::time::timeout(DEADLINE, answer(&mut child, &mut exits)).await;
    let Ok(answered) = answered else {
        // Not reaped before its exit was seen, so the id is still this process's.
        let _ = child.kill();
        bail!("cannot {verb} the container {id}: not done within {DEADLINE:?}");
    };
    let (code, output) = answered?;
    let mut text = String::new();
    said.rewind()?;
    said.read_to_string(&mut text)?;
    if code == 0 {
        for line in text.lines() {
            log::warn!("{verb} {id}: {line}");
        }
        return serde_json::from_slice(&output)
            .with_context(|| format!("the answer to {verb} {id}"));
    }
    log::debug!("{verb} {id}: {text}");
    Err(anyhow!(
        "cannot {verb} the container {id}: {}",
        reason(&text, code)
    ))
}

/// What went wrong, of all that was said: the last line is the error, the first what it came from.
fn reason(said: &str, code: i32) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (None, _) => format!("the process that does it ended with {code}"),
        (Some(only), None) => only.to_owned(),
        (Some(first), Some(last)) => format!("{last}: {first}"),
    }
}

fn spawn(verb: &str, id: &str, request: &Request, said: File) -> Result<Child> {
    let text = serde_json::to_vec(request)?;
    let mut child = command(&[verb, id])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn()?;
    // It reads all of it before it does anything else. Dropped, so that it sees the end.
    let mut stdin = child.stdin.take().context("its standard input")?;
    stdin.write_all(&text).context("hand over the request")?;
    Ok(child)
}

async fn answer(child: &mut Child, exits: &mut Exits) -> Result<(i32, Vec<u8>)> {
    let stdout = child.stdout.take().context("its standard output")?;
    let mut output = Vec::new();
    let mut stdout = Receiver::from_owned_fd(stdout.into())?;
    let pid = i32::try_from(child.id())?;
    let (code, read) = tokio::join!(exits.of(pid), stdout.read_to_end(&mut output));
    read?;
    Ok((code?, output))
}

/// A file that is nowhere but in memory, written at its end only.
pub(crate) fn memory(name: &str) -> Result<File> {
    let memory =
        memfd_create(name, MemfdFlags::CLOEXEC).context("memory for a process's output")?;
    fcntl_setfl(&memory, OFlags::APPEND)?;
    Ok(File::from(memory))
}
