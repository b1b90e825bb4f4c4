//! A container's standard streams: named pipes of containerd's, files, or nothing.
//!
//! The container writes straight into containerd's pipes; nothing copies. But a pipe that nobody reads breaks for
//! whoever writes: so the server holds a reading end of each, which is never read, until the container has ended.
//! While containerd restarts, its output waits in the pipe. A *writing* end would do the same and keep containerd from
//! ever seeing the end.

use crate::request::Stdio;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags, Uid, fchown, fcntl_setfl, fstat};
use std::os::fd::OwnedFd;

const NOTHING: &str = "/dev/null";

/// Reading ends of the pipes that a container writes into, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _ends: Vec<OwnedFd>,
}

/// Holds the output pipes open.
pub(crate) fn hold(stdio: &Stdio) -> Result<Held> {
    let mut ends = Vec::new();
    for path in [&stdio.stdout, &stdio.stderr] {
        if let Stream::Pipe(path) = Stream::of(path)? {
            ends.push(open(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        }
    }
    Ok(Held { _ends: ends })
}

/// The three streams, open, for the container's process: input, output, errors. Pipes become the container's user's:
/// programs open `/dev/stdout` by its name.
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
