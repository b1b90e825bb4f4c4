//! Calls of this binary in a process of its own, which libcontainer needs (see the crate's documentation).
//!
//! The request goes over a socket that is the process's standard input, and descriptors come back over it: a process
//! that was made, and its terminal. The answer itself comes over standard output.

use crate::exits::Exits;
use crate::process::{Handle, to_pid};
use crate::read_only;
use crate::request::{Request, Response};
use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{PidfdFlags, pidfd_open};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// The first argument of the binary in this role.
pub(crate) const ROLE: &str = "container";

/// The running binary itself, even if the file has been replaced by a newer one since.
const MYSELF: &str = "/proc/self/exe";

/// Keeps the allocator from asking for huge pages when a process starts: each pod has a few processes that touch
/// little of what a huge page brings. Without it a pod takes three times the memory.
pub(crate) const SMALL_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// How long one call may take. The longest is a create that has a component compiled, which has a limit of its own
/// below this one.
const DEADLINE: Duration = Duration::from_secs(150);

/// Descriptors that come with an answer, at most: a process and its terminal.
const MAX_DESCRIPTORS: usize = 2;

/// Bytes of what a process reports that are logged, at most, and of one line of it. Some of it is an image's words.
const MAX_REPORT: u64 = 64 << 10;
const MAX_LINE: usize = 4 << 10;

/// What a call has made.
#[derive(Default)]
pub(crate) struct Made {
    /// The process, if one was made.
    pub(crate) process: Option<Handle>,
    /// The master side of its terminal, if it has one.
    pub(crate) terminal: Option<OwnedFd>,
}

impl Made {
    /// Returns the process and its terminal. Fails if no process was made.
    pub(crate) fn process(self) -> Result<(Handle, Option<OwnedFd>)> {
        let process = self.process.context("no process was made")?;
        Ok((process, self.terminal))
    }
}

/// Returns this binary, to be started with these arguments in a process without this one's environment.
///
/// The process of a container that serves a component executes nothing else: its /proc/PID/exe stays this file. So the
/// file that is executed lies on a read-only mount, through which no container can write to it.
pub(crate) fn command(arguments: &[&str]) -> Result<Command> {
    static SHIELDED: OnceLock<OwnedFd> = OnceLock::new();
    if SHIELDED.get().is_none() {
        // Of two that do it at once one is kept.
        let _ = SHIELDED.set(read_only::mount(MYSELF)?);
    }
    let shielded = SHIELDED.get().context("there is no mount")?;
    let path = format!("/proc/self/fd/{}", shielded.as_raw_fd());
    Ok(command_of(&path, arguments))
}

/// Returns the same for a process that was started so itself.
pub(crate) fn command_again(arguments: &[&str]) -> Command {
    command_of(MYSELF, arguments)
}

fn command_of(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .arg0("containerd-shim-preopen-v1")
        .arg(ROLE)
        .args(arguments)
        .env_clear()
        .env(SMALL_PAGES.0, SMALL_PAGES.1);
    command
}

/// Has `request` answered, and logs what the process reported on the way.
pub(crate) async fn call(request: &Request) -> Result<Made> {
    let (verb, id) = request.name();
    // Before the process exists, so that its end cannot be missed.
    let mut exits = Exits::subscribe().await?;
    // Memory and no pipe: the container's process keeps it open while it waits to be started.
    let mut said = memory("said")?;
    let (mut child, socket) = spawn(verb, id, request, said.try_clone()?)
        .with_context(|| format!("cannot start a process to {verb} {id}"))?;
    let answered = tokio::time::timeout(DEADLINE, answer(&mut child, &mut exits)).await;
    let Ok(answered) = answered else {
        // Not reaped before its exit was seen, so the id is still this process's.
        let _ = child.kill();
        bail!("cannot {verb} the container {id}: not done within {DEADLINE:?}");
    };
    let (code, output) = answered?;
    said.rewind()?;
    let text = report(said)?;
    if code != 0 {
        log::debug!("{verb} {id}: {text}");
        return Err(anyhow!("{}", reason(verb, id, &text, code)));
    }
    for line in text.lines() {
        log::warn!("{verb} {id}: {line}");
    }
    let response: Response = serde_json::from_slice(&output)
        .with_context(|| format!("cannot read the answer to {verb} {id}"))?;
    made(&response, &socket).with_context(|| format!("cannot {verb} the container {id}"))
}

/// Reads what a process has reported, made fit for a log and a terminal: of a line, control characters are escaped and
/// what is too long is cut.
fn report(said: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    said.take(MAX_REPORT).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut report = String::new();
    for line in text.lines() {
        let mut end = line.len().min(MAX_LINE);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        for character in line[..end].chars() {
            match character.is_control() {
                true => report.extend(character.escape_default()),
                false => report.push(character),
            }
        }
        report.push('\n');
    }
    Ok(report)
}

/// Describes what went wrong, from all that was written: the last line is the error, the first what it came from.
fn reason(verb: &str, id: &str, said: &str, code: i32) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = match (lines.next(), lines.next_back()) {
        (None, _) => format!("the process that does it ended with {code}"),
        // What runc reports of an exec is what people and programs look for.
        (Some(only), None) if verb == "exec" => return only.to_owned(),
        (Some(only), None) => only.to_owned(),
        (Some(first), Some(last)) => format!("{last}: {first}"),
    };
    format!("cannot {verb} the container {id}: {reason}")
}

fn spawn(verb: &str, id: &str, request: &Request, said: File) -> Result<(Child, UnixStream)> {
    let text = serde_json::to_vec(request)?;
    let (mut socket, its) = UnixStream::pair()?;
    let child = command(&[verb, id])?
        .stdin(OwnedFd::from(its))
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn()?;
    // It reads all of it before it does anything else.
    socket
        .write_all(&text)
        .context("cannot hand over the request")?;
    socket.shutdown(Shutdown::Write)?;
    Ok((child, socket))
}

async fn answer(child: &mut Child, exits: &mut Exits) -> Result<(i32, Vec<u8>)> {
    let stdout = child
        .stdout
        .take()
        .context("the process has no standard output")?;
    let mut output = Vec::new();
    let mut stdout = Receiver::from_owned_fd(stdout.into())?;
    let pid = i32::try_from(child.id())?;
    let (code, read) = tokio::join!(exits.of(pid), stdout.read_to_end(&mut output));
    read?;
    Ok((code?, output))
}

fn made(response: &Response, socket: &UnixStream) -> Result<Made> {
    let Some(pid) = response.pid else {
        return Ok(Made::default());
    };
    let mut descriptors = receive(socket)?.into_iter();
    let fd = descriptors
        .next()
        .context("the new process was not handed over")?;
    Ok(Made {
        process: Some(Handle { pid, fd }),
        terminal: descriptors.next(),
    })
}

/// Hands over a process that was made, and its terminal, in the role of the helper: over its standard input.
pub(crate) fn hand_over(pid: i32, terminal: Option<&OwnedFd>) -> Result<()> {
    let process = pidfd_open(to_pid(pid)?, PidfdFlags::empty())
        .context("the new process has ended already")?;
    let mut descriptors = vec![process.as_fd()];
    descriptors.extend(terminal.map(AsFd::as_fd));
    send(std::io::stdin().as_fd(), &descriptors).context("cannot hand over the new process")
}

fn send(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    ensure!(
        descriptors.len() <= MAX_DESCRIPTORS,
        "at most {MAX_DESCRIPTORS} descriptors can be sent"
    );
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    // Descriptors travel with a byte, at least.
    sendmsg(
        socket,
        &[IoSlice::new(b"+")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives the descriptors that one [`send`] has sent. Does not wait.
pub(crate) fn receive(socket: impl AsFd) -> Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 4096];
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
    )
    .context("cannot receive descriptors")?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    Ok(descriptors)
}

/// Makes a file that is nowhere but in memory, written at its end only.
pub(crate) fn memory(name: &str) -> Result<File> {
    let memory = memfd_create(name, MemfdFlags::CLOEXEC)
        .context("cannot get memory for a process's output")?;
    fcntl_setfl(&memory, OFlags::APPEND)?;
    Ok(File::from(memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_can_write_into_a_log_is_bounded_and_escaped() {
        let line = "\u{1b}[31m\tname=\u{7f}\r";
        let escaped = "\\u{1b}[31m\\tname=\\u{7f}\\r\n";
        assert_eq!(report(line.as_bytes()).expect("readable"), escaped);
        let long = "\u{e9}".repeat(MAX_LINE);
        let cut = report(long.as_bytes()).expect("readable");
        assert_eq!(cut.len(), MAX_LINE + 1);
        let endless = std::io::repeat(b'\n');
        let cut = report(endless).expect("readable");
        assert_eq!(cut.len() as u64, MAX_REPORT);
        assert_eq!(report(&b"\xff"[..]).expect("readable"), "\u{fffd}\n");
    }
}
