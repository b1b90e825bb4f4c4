//! A process's terminal. The server holds its master side and copies between that and containerd's pipes.

use crate::request::Stdio;
use crate::stdio;
use anyhow::{Context, Result};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

/// The number of bytes that are copied at a time.
const CHUNK: usize = 32 << 10;

/// The time that the end of a process waits until the process's last output is copied. A process that it left behind may
/// hold the terminal open forever.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// containerd's pipes of a terminal, opened before the process exists. Each is open for reading and writing, so it stays
/// intact while containerd restarts.
pub(crate) struct Pipes {
    input: Option<Receiver>,
    output: Option<Sender>,
}

impl Pipes {
    pub(crate) fn open(stdio: &Stdio) -> Result<Self> {
        let input = stdio::pipe(&stdio.stdin)?.map(|path| {
            let opened = OpenOptions::new().read_write(true).open_receiver(path);
            opened.with_context(|| format!("cannot open the terminal's input {path}"))
        });
        let output = stdio::pipe(&stdio.stdout)?.map(stdio::open_sender);
        Ok(Self {
            input: input.transpose()?,
            output: output.transpose()?,
        })
    }
}

/// A terminal whose streams are copied until it is dropped.
pub(crate) struct Terminal {
    /// Used for the size. The task that copies owns it, and closes it with its end.
    master: Weak<AsyncFd<OwnedFd>>,
    hang_up: Arc<Notify>,
    copying: Mutex<Option<JoinHandle<()>>>,
    abort: tokio::task::AbortHandle,
}

impl Terminal {
    /// Starts to copy between the terminal's master side and containerd's pipes.
    pub(crate) fn connect(master: OwnedFd, pipes: Pipes) -> Result<Self> {
        fcntl_setfl(&master, OFlags::NONBLOCK).context("cannot set up the terminal")?;
        // SAFETY: an `OwnedFd` names one open file for as long as it lives.
        let master = unsafe { AsyncFd::register(master) }.context("cannot watch the terminal")?;
        let master = Arc::new(master);
        let size = Arc::downgrade(&master);
        let hang_up = Arc::new(Notify::new());
        let hung_up = hang_up.clone();
        let copying = tokio::spawn(async move {
            tokio::select! {
                // The process, and all processes that it left behind, have closed the terminal.
                () = copy_output(&master, pipes.output) => {}
                // The caller has left. Its last input arrives, then the terminal hangs up.
                () = copy_input(&master, pipes.input, &hung_up) => {}
            }
        });
        Ok(Self {
            master: size,
            hang_up,
            abort: copying.abort_handle(),
            copying: Mutex::new(Some(copying)),
        })
    }

    /// Sets the size in characters. Does nothing after a hang-up.
    pub(crate) fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        let size = Winsize {
            ws_row: u16::try_from(rows).unwrap_or(u16::MAX),
            ws_col: u16::try_from(columns).unwrap_or(u16::MAX),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        match self.master.upgrade() {
            Some(master) => {
                tcsetwinsize(master.get_ref(), size).context("cannot set the terminal's size")
            }
            None => Ok(()),
        }
    }

    /// Ends the input by a hang-up: the process gets SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.hang_up.notify_one();
    }

    /// Waits until the last output of an ended process is copied.
    pub(crate) async fn drain(&self) {
        if let Some(copying) = &mut *self.copying.lock().await {
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, copying).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Copies until the terminal is closed on its other side.
async fn copy_output(master: &AsyncFd<OwnedFd>, mut output: Option<Sender>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = master
            .async_io(tokio::io::Interest::READABLE, |master| {
                Ok(rustix::io::read(master, &mut chunk[..])?)
            })
            .await;
        // The kernel reports the last close as EIO.
        let Ok(read @ 1..) = read else {
            return;
        };
        if let Some(pipe) = &mut output
            && pipe.write_all(&chunk[..read]).await.is_err()
        {
            // Discards the output from now on, so that the process does not block.
            output = None;
        }
    }
}

/// Copies until the caller hangs up, and then the rest of the pipe.
async fn copy_input(master: &AsyncFd<OwnedFd>, input: Option<Receiver>, hung_up: &Notify) {
    let Some(mut input) = input else {
        return hung_up.notified().await;
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            biased;
            read = input.read(&mut chunk) => read,
            () = hung_up.notified() => break,
        };
        match read {
            Ok(read) if write_all(master, &chunk[..read]).await.is_ok() => {}
            // The terminal is closed, so its output ends too.
            _ => return std::future::pending().await,
        }
    }
    while let Ok(read @ 1..) = input.try_read(&mut chunk) {
        if write_all(master, &chunk[..read]).await.is_err() {
            break;
        }
    }
}

async fn write_all(master: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = master
            .async_io(tokio::io::Interest::WRITABLE, |master| {
                Ok(rustix::io::write(master, bytes)?)
            })
            .await?;
        bytes = &bytes[written..];
    }
    Ok(())
}
