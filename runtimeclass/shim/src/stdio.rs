//! A process's standard streams as containerd names them: named pipes, files, or nothing.
//!
//! The process writes straight into containerd's pipes; nothing copies. But a pipe that nobody reads breaks for
//! whoever writes: so the server holds a reading end of each, which is never read, until the process has ended. While
//! containerd restarts, the output waits in the pipe. A *writing* end would do the same and keep containerd from ever
//! seeing the end.
//!
//! Of the input the server holds a writing end: a pipe that nobody has open for writing reads as ended, and containerd
//! opens its end in its own time. The input ends when containerd closes it (`CloseIO`).

use crate::request::Stdio;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags, Uid, fchown, fcntl_setfl, fstat};
use std::os::fd::OwnedFd;

const NOTHING: &str = "/dev/null";

/// Opens the reading ends that keep a process's output pipes whole.
pub(crate) fn hold_outputs(stdio: &Stdio) -> Result<Vec<OwnedFd>> {
    let mut ends = Vec::new();
    for path in [&stdio.stdout, &stdio.stderr] {
        if let Stream::Pipe(path) = Stream::of(path)? {
            ends.push(open(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        }
    }
    Ok(ends)
}

/// Opens the writing end that keeps a process's input from ending before it is closed.
pub(crate) fn hold_input(stdio: &Stdio) -> Result<Option<OwnedFd>> {
    match Stream::of(&stdio.stdin)? {
        // Not for writing alone: that fails while nobody reads.
        Stream::Pipe(path) => open(path, OFlags::RDWR | OFlags::NONBLOCK).map(Some),
        Stream::File(_) | Stream::Nothing => Ok(None),
    }
}

/// Returns the path of a terminal's input or output pipe, if there is one.
pub(crate) fn pipe(uri: &str) -> Result<Option<&str>> {
    match Stream::of(uri)? {
        Stream::Pipe(path) => Ok(Some(path)),
        Stream::Nothing => Ok(None),
        Stream::File(path) => bail!("{path}: a terminal's streams are named pipes, not files"),
    }
}

/// Opens the three streams for a process in the container: input, output, errors. Pipes are given to the process's
/// user, because programs open `/dev/stdout` by its name.
pub(crate) fn open_all(stdio: &Stdio, user: u32) -> Result<[OwnedFd; 3]> {
    let streams = [
        input(&stdio.stdin)?,
        output(&stdio.stdout)?,
        output(&stdio.stderr)?,
    ];
    for stream in &streams {
        let status = fstat(stream)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Fifo && status.st_uid != user {
            fchown(stream, Some(Uid::from_raw(user)), None)
                .context("give the container's streams to its user")?;
        }
    }
    Ok(streams)
}

fn input(path: &str) -> Result<OwnedFd> {
    match Stream::of(path)? {
        Stream::Nothing => open(NOTHING, OFlags::RDONLY),
        Stream::File(path) => open(path, OFlags::RDONLY),
        Stream::Pipe(path) => {
            // A pipe that nobody writes yet would keep open waiting; once open, reading shall wait as usual.
            let pipe = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
            fcntl_setfl(&pipe, OFlags::empty()).with_context(|| path.to_owned())?;
            Ok(pipe)
        }
    }
}

fn output(path: &str) -> Result<OwnedFd> {
    match Stream::of(path)? {
        Stream::Nothing => open(NOTHING, OFlags::WRONLY),
        Stream::File(path) => open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE),
        // Does not wait: the server holds a reading end.
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
                "{uri}: a container's output cannot go to {scheme}:// with this runtime, only to a named pipe or a file://"
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
    .with_context(|| format!("{path}: open the container's stream"))
}
