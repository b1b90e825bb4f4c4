//! A process's standard streams as containerd names them: named pipes, files, or nothing.
//!
//! A container's first process writes directly into containerd's pipes. A write to a pipe without a reader fails, so the
//! server holds a reading end of each pipe, which it never reads, until the process has ended. While containerd restarts,
//! the output waits in the pipe. A *writing* end would keep the pipe open too, but containerd would never see the end of
//! the output. A process that is added later writes into pipes of its own (see [`outputs`](crate::outputs)).
//!
//! The server holds a writing end of the input. A pipe without a writer reads as ended, and containerd opens its end later.
//! The input ends when containerd closes it (`CloseIO`).

use crate::request::Stdio;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags, Uid, fchown, fcntl_setfl, fstat};
use rustix::pipe::{PipeFlags, pipe_with};
use std::os::fd::OwnedFd;
use tokio::net::unix::pipe::{OpenOptions, Sender};

const NOTHING: &str = "/dev/null";

/// Opens the reading ends that keep a process's output pipes open.
pub(crate) fn hold_outputs(stdio: &Stdio) -> Result<Vec<OwnedFd>> {
    output_pipes(stdio)?
        .map(|path| open(path, OFlags::RDONLY | OFlags::NONBLOCK))
        .collect()
}

/// Returns the paths of standard output and standard error, those that are pipes.
pub(crate) fn output_pipes(stdio: &Stdio) -> Result<impl Iterator<Item = &str>> {
    let paths = [pipe_of(&stdio.stdout)?, pipe_of(&stdio.stderr)?];
    Ok(paths.into_iter().flatten())
}

/// Opens an output pipe so that it stays intact without a reader.
pub(crate) fn open_sender(path: &str) -> Result<Sender> {
    OpenOptions::new()
        .read_write(true)
        .open_sender(path)
        .with_context(|| format!("cannot open the container's stream {path}"))
}

/// Opens the writing end that keeps a process's input open until containerd closes it.
pub(crate) fn hold_input(stdio: &Stdio) -> Result<Option<OwnedFd>> {
    // Opening for writing only fails while the pipe has no reader.
    let open = |path| open(path, OFlags::RDWR | OFlags::NONBLOCK);
    pipe_of(&stdio.stdin)?.map(open).transpose()
}

/// Returns the path of a terminal's input or output pipe, if there is one.
pub(crate) fn pipe(uri: &str) -> Result<Option<&str>> {
    match Stream::of(uri)? {
        Stream::Pipe(path) => Ok(Some(path)),
        Stream::Nothing => Ok(None),
        Stream::File(path) => {
            bail!("cannot connect a terminal to the file {path}: use a named pipe")
        }
    }
}

/// Opens the three streams of a container's first process: input, output, errors.
pub(crate) fn open_all(stdio: &Stdio, user: u32) -> Result<[OwnedFd; 3]> {
    let streams = [
        input(&stdio.stdin)?,
        output(&stdio.stdout)?,
        output(&stdio.stderr)?,
    ];
    give_pipes_to(user, &streams)?;
    Ok(streams)
}

/// Opens the three streams of a process that is added to a container, with new pipes in place of containerd's output pipes.
/// Returns their reading ends too, in the order of [`output_pipes`].
pub(crate) fn open_apart(stdio: &Stdio, user: u32) -> Result<([OwnedFd; 3], Vec<OwnedFd>)> {
    let mut ends = Vec::new();
    let mut apart = |path: &str| match pipe_of(path)? {
        Some(_) => {
            let (end, output) = pipe_with(PipeFlags::CLOEXEC)?;
            ends.push(end);
            Ok(output)
        }
        None => output(path),
    };
    let streams = [
        input(&stdio.stdin)?,
        apart(&stdio.stdout)?,
        apart(&stdio.stderr)?,
    ];
    give_pipes_to(user, &streams)?;
    Ok((streams, ends))
}

/// Makes the process's user the owner of pipes, because programs open `/dev/stdout` by its name.
fn give_pipes_to(user: u32, streams: &[OwnedFd; 3]) -> Result<()> {
    for stream in streams {
        let status = fstat(stream)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Fifo && status.st_uid != user {
            fchown(stream, Some(Uid::from_raw(user)), None)
                .context("cannot give the container's streams to its user")?;
        }
    }
    Ok(())
}

fn pipe_of(uri: &str) -> Result<Option<&str>> {
    Ok(match Stream::of(uri)? {
        Stream::Pipe(path) => Some(path),
        Stream::File(_) | Stream::Nothing => None,
    })
}

fn input(path: &str) -> Result<OwnedFd> {
    match Stream::of(path)? {
        Stream::Nothing => open(NOTHING, OFlags::RDONLY),
        Stream::File(path) => open(path, OFlags::RDONLY),
        Stream::Pipe(path) => {
            // Opening a pipe without a writer would block. Once the pipe is open, reads block as usual.
            let pipe = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
            fcntl_setfl(&pipe, OFlags::empty())
                .with_context(|| format!("cannot open the container's stream {path}"))?;
            Ok(pipe)
        }
    }
}

fn output(path: &str) -> Result<OwnedFd> {
    match Stream::of(path)? {
        Stream::Nothing => open(NOTHING, OFlags::WRONLY),
        Stream::File(path) => open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE),
        // Does not block, because the server holds a reading end.
        Stream::Pipe(path) => open(path, OFlags::WRONLY),
    }
}

enum Stream<'a> {
    Nothing,
    Pipe(&'a str),
    File(&'a str),
}

impl<'a> Stream<'a> {
    fn of(uri: &'a str) -> Result<Self> {
        match uri.split_once("://") {
            None if uri.is_empty() => Ok(Self::Nothing),
            None => Ok(Self::Pipe(uri)),
            Some(("fifo", path)) => Ok(Self::Pipe(path)),
            Some(("file", path)) => Ok(Self::File(path)),
            Some((scheme, _)) => bail!(
                "cannot open the stream {uri}: {scheme}:// is not supported, use a named pipe or file://"
            ),
        }
    }
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::openat(
        CWD,
        path,
        flags | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o644),
    )
    .with_context(|| format!("cannot open the container's stream {path}"))
}
