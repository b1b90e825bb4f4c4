//! Calls of this binary in the helper's role: a process of its own, which libcontainer needs (see the crate's
//! documentation).
//!
//! The request goes over a socket, which is the helper's standard input. Descriptors come back over the same socket: the
//! process that the helper created, and the process's terminal or pipes. The response comes over standard output.

use crate::exits::Exits;
use crate::process::{Handle, to_pid};
use crate::read_only;
use crate::request::{HelperRequest, HelperResponse};
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

/// The running binary, even if its file has been replaced since.
const OWN_BINARY: &str = "/proc/self/exe";

/// The environment variables that set up the allocator when a process starts. Each pod has a few processes that take little
/// memory.
pub(crate) const SMALL_PROCESS: [(&str, &str); 2] = [
    // With huge pages a pod takes three times the memory.
    ("MIMALLOC_ALLOW_THP", "0"),
    // The address space that is reserved at once. Its description takes memory in proportion; the default is 1 GiB.
    ("MIMALLOC_ARENA_RESERVE", "64MiB"),
];

/// The time limit of a call. The longest call is a create that compiles a component, whose own limit is below this one.
const DEADLINE: Duration = Duration::from_secs(150);

/// The maximum number of descriptors that come with a response: a process and two pipes.
const MAX_DESCRIPTORS: usize = 3;

/// The maximum number of bytes that are logged of a helper's standard error, and of one line of it. The image controls part
/// of that text.
const MAX_REPORT: u64 = 64 << 10;
const MAX_LINE: usize = 4 << 10;

/// The result of a call.
#[derive(Default)]
pub(crate) struct Spawned {
    /// The process that the helper created, if it created one.
    pub(crate) process: Option<Handle>,
    /// What was created with it: the master side of its terminal, or the reading ends of its output pipes.
    pub(crate) created: Vec<OwnedFd>,
}

impl Spawned {
    /// Returns the process and what was created with it. Fails if the helper created no process.
    pub(crate) fn process(self) -> Result<(Handle, Vec<OwnedFd>)> {
        let process = self.process.context("the helper created no process")?;
        Ok((process, self.created))
    }
}

/// Returns a command that runs this binary with these arguments and without this process's environment.
///
/// The command runs the binary from a read-only mount, so that no container can write to it: a process that serves a
/// component executes nothing else, and its /proc/PID/exe stays this file.
pub(crate) fn command(arguments: &[&str]) -> Result<Command> {
    static READ_ONLY: OnceLock<OwnedFd> = OnceLock::new();
    if READ_ONLY.get().is_none() {
        // If two threads do this at the same time, one mount is kept.
        let _ = READ_ONLY.set(read_only::mount(OWN_BINARY)?);
    }
    let binary = READ_ONLY
        .get()
        .context("the read-only mount of this binary is missing")?;
    let path = format!("/proc/self/fd/{}", binary.as_raw_fd());
    Ok(command_of(&path, arguments))
}

/// Returns the same command, for a process that was itself started by [`command`].
pub(crate) fn command_again(arguments: &[&str]) -> Command {
    command_of(OWN_BINARY, arguments)
}

fn command_of(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .arg0("containerd-shim-preopen-v1")
        .arg(ROLE)
        .args(arguments)
        .env_clear()
        .envs(SMALL_PROCESS);
    command
}

/// Sends a request to a new helper, and logs the helper's warnings.
pub(crate) async fn call(request: &HelperRequest) -> Result<Spawned> {
    let (verb, id) = request.name();
    // Before the helper exists, so that its end cannot be missed.
    let mut exits = Exits::subscribe().await?;
    // A file in memory, not a pipe: the container's process keeps it open while it waits to be started.
    let mut stderr = memory("stderr")?;
    let (mut child, socket) = spawn(verb, id, request, stderr.try_clone()?)
        .with_context(|| format!("{}: cannot start a helper", failed(verb, id)))?;
    let response = tokio::time::timeout(DEADLINE, response(&mut child, &mut exits)).await;
    let Ok(response) = response else {
        // The process is not reaped before its exit was seen, so the id is still the helper's.
        let _ = child.kill();
        bail!("{} within {DEADLINE:?}", failed(verb, id));
    };
    let (code, output) = response?;
    stderr.rewind()?;
    let text = report(stderr)?;
    if code != 0 {
        log::debug!("helper failed request={verb} container={id} stderr={text:?}");
        return Err(anyhow!("{}", reason(verb, id, &text, code)));
    }
    for line in text.lines() {
        log::warn!("{line} request={verb} container={id}");
    }
    let response = serde_json::from_slice(&output).with_context(|| failed(verb, id))?;
    spawned(&response, &socket).with_context(|| failed(verb, id))
}

fn failed(verb: &str, id: &str) -> String {
    match verb {
        "exec" => format!("cannot add a process to the container {id}"),
        _ => format!("cannot {verb} the container {id}"),
    }
}

/// Reads a helper's standard error into text that is safe for logs and terminals: control characters are escaped and long
/// lines are cut.
fn report(stderr: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    stderr.take(MAX_REPORT).read_to_end(&mut bytes)?;
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

/// Returns the error of a failed helper. The last line that the helper wrote is the error, the first line is its cause.
fn reason(verb: &str, id: &str, stderr: &str, code: i32) -> String {
    let mut lines = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let reason = match (lines.next(), lines.next_back()) {
        (None, _) => format!("the helper ended with exit code {code}"),
        // The message is runc's, and people and programs look for it as it is.
        (Some(only), None) if verb == "exec" => return only.to_owned(),
        (Some(only), None) => only.to_owned(),
        (Some(first), Some(last)) => format!("{last}: {first}"),
    };
    format!("{}: {reason}", failed(verb, id))
}

fn spawn(
    verb: &str,
    id: &str,
    request: &HelperRequest,
    stderr: File,
) -> Result<(Child, UnixStream)> {
    let text = serde_json::to_vec(request)?;
    let (mut socket, input) = UnixStream::pair()?;
    let child = command(&[verb, id])?
        .stdin(OwnedFd::from(input))
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()?;
    // Cannot block for long: the helper first reads the whole request.
    socket.write_all(&text).context("cannot send the request")?;
    socket.shutdown(Shutdown::Write)?;
    Ok((child, socket))
}

async fn response(child: &mut Child, exits: &mut Exits) -> Result<(i32, Vec<u8>)> {
    let stdout = child
        .stdout
        .take()
        .context("the helper has no standard output")?;
    let mut output = Vec::new();
    let mut stdout = Receiver::from_owned_fd(stdout.into())?;
    let pid = i32::try_from(child.id())?;
    let (code, read) = tokio::join!(exits.of(pid), stdout.read_to_end(&mut output));
    read?;
    Ok((code?, output))
}

fn spawned(response: &HelperResponse, socket: &UnixStream) -> Result<Spawned> {
    let Some(pid) = response.pid else {
        return Ok(Spawned::default());
    };
    let mut descriptors = receive(socket)?.into_iter();
    let fd = descriptors
        .next()
        .context("the helper handed over no process")?;
    Ok(Spawned {
        process: Some(Handle { pid, fd }),
        created: descriptors.collect(),
    })
}

/// Hands a new process, and what was created with it, over to the server. The helper does this over its standard input.
pub(crate) fn hand_over(pid: i32, created: &[OwnedFd]) -> Result<()> {
    let process = pidfd_open(to_pid(pid)?, PidfdFlags::empty())
        .context("the new process has already ended")?;
    let mut descriptors = vec![process.as_fd()];
    descriptors.extend(created.iter().map(AsFd::as_fd));
    send(std::io::stdin().as_fd(), &descriptors).context("cannot hand over the new process")
}

fn send(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    ensure!(
        descriptors.len() <= MAX_DESCRIPTORS,
        "cannot send {} descriptors: the maximum is {MAX_DESCRIPTORS}",
        descriptors.len()
    );
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    // Descriptors need at least one byte to travel with.
    sendmsg(
        socket,
        &[IoSlice::new(b"+")],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives the descriptors of one [`send`] without blocking.
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

/// Creates a file in memory, to which writes append.
pub(crate) fn memory(name: &str) -> Result<File> {
    let memory =
        memfd_create(name, MemfdFlags::CLOEXEC).context("cannot create a file in memory")?;
    fcntl_setfl(&memory, OFlags::APPEND)?;
    Ok(File::from(memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_image_is_bounded_and_escaped_in_the_log() {
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
