//! A process's terminal: the server has its master side and copies between it and containerd's pipes.

use crate::request::Stdio;
use crate::stdio;
use anyhow::{Context, Result};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{OpenOptions, Receiver, Sender};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

/// Bytes copied at a time.
const PIECE: usize = 32 << 10;

/// How long the end of a process waits for its last output to be copied. A process that it left behind may hold the
/// terminal open for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// containerd's pipes of a terminal, open before the process exists. Each is open for reading and writing, so that it
/// neither ends nor breaks while containerd restarts.
pub(crate) struct Pipes {
    input: Option<Receiver>,
    output: Option<Sender>,
}

impl Pipes {
    pub(crate) fn open(stdio: &Stdio) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read_write(true);
        let input = stdio::pipe(&stdio.stdin)?.map(|path| {
            let opened = options.open_receiver(path);
            opened.with_context(|| format!("cannot open the terminal's input {path}"))
        });
        let output = stdio::pipe(&stdio.stdout)?.map(|path| {
            let opened = options.open_sender(path);
            opened.with_context(|| format!("cannot open the terminal's output {path}"))
        });
        Ok(Self {
            input: input.transpose()?,
            output: output.transpose()?,
        })
    }
}

/// A terminal whose streams are being copied until it is dropped.
pub(crate) struct Terminal {
    /// For the size alone; gone after a hang-up.
    master: std::sync::Mutex<Option<OwnedFd>>,
    hang_up: Arc<Notify>,
    copying: Mutex<Option<JoinHandle<()>>>,
    abort: tokio::task::AbortHandle,
}

impl Terminal {
    /// Starts to copy between the terminal's master side and containerd's pipes.
    pub(crate) fn connect(master: OwnedFd, pipes: Pipes) -> Result<Self> {
        fcntl_setfl(&master, OFlags::NONBLOCK).context("cannot set up the terminal")?;
        let size = master.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` names one open file for as long as it lives.
        let master = unsafe { AsyncFd::register(master) }.context("cannot watch the terminal")?;
        let hang_up = Arc::new(Notify::new());
        let hung_up = hang_up.clone();
        let copying = tokio::spawn(async move {
            tokio::select! {
                // The process and whatever it left have closed the terminal.
                () = copy_output(&master, pipes.output) => {}
                // The caller has left: what it typed arrives, then the terminal hangs up.
                () = copy_input(&master, pipes.input, &hung_up) => {}
            }
        });
        Ok(Self {
            master: std::sync::Mutex::new(Some(size)),
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
        match &*self.lock() {
            Some(master) => tcsetwinsize(master, size).context("cannot set the terminal's size"),
            None => Ok(()),
        }
    }

    /// Ends the input as a telephone line would: the process gets SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.lock().take();
        self.hang_up.notify_one();
    }

    /// Waits until the last output of a process that has ended is copied.
    pub(crate) async fn drain(&self) {
        self.lock().take();
        if let Some(copying) = &mut *self.copying.lock().await {
            let _ = tokio::time::timeout(LAST_OUTPUT, copying).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<OwnedFd>> {
        self.master
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Copies until the terminal is closed on its other side, or the pipe breaks.
async fn copy_output(master: &AsyncFd<OwnedFd>, mut output: Option<Sender>) {
    let mut piece = vec![0; PIECE];
    loop {
        let read = master
            .async_io(tokio::io::Interest::READABLE, |master| {
                Ok(rustix::io::read(master, &mut piece[..])?)
            })
            .await;
        // The kernel reports the last close as EIO.
        let Ok(read @ 1..) = read else {
            return;
        };
        if let Some(pipe) = &mut output
            && pipe.write_all(&piece[..read]).await.is_err()
        {
            // Without a reader the output goes nowhere, and the process is not to block on it.
            output = None;
        }
    }
}

/// Copies until the caller hangs up; then what is in the pipe still.
async fn copy_input(master: &AsyncFd<OwnedFd>, input: Option<Receiver>, hung_up: &Notify) {
    let Some(mut input) = input else {
        return hung_up.notified().await;
    };
    let mut piece = vec![0; PIECE];
    loop {
        let read = tokio::select! {
            biased;
            read = input.read(&mut piece) => read,
            () = hung_up.notified() => break,
        };
        match read {
            Ok(read) if write_all(master, &piece[..read]).await.is_ok() => {}
            // The terminal is closed: its output ends too.
            _ => return std::future::pending().await,
        }
    }
    while let Ok(read @ 1..) = input.try_read(&mut piece) {
        if write_all(master, &piece[..read]).await.is_err() {
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
