//! A pseudo-terminal that runs a program of the node, such as `ctr tasks exec --tty`.

use crate::node::Node;
use crate::process;
use anyhow::{Context, Result, anyhow, ensure};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::process::Child;
use visits_tests::{DEADLINE, Signal, wait};

/// A program in a terminal. It is killed on drop.
#[derive(Debug)]
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    child: Child,
}

impl Terminal {
    /// Runs a command in a terminal of the usual size.
    pub(crate) fn run(command: Command) -> Result<Self> {
        Self::sized(command, 80, 25)
    }

    /// Runs a command in a terminal of this size.
    pub(crate) fn sized(command: Command, columns: u16, rows: u16) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?;
        // Without O_NOCTTY it would become the controlling terminal of the tests.
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(path.to_str()?)
            .context("cannot open a terminal")?;
        let keyboard = File::from(master);
        resize(&keyboard, columns, rows)?;
        let mut command = tokio::process::Command::from(command);
        command
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .context("cannot start a program in a terminal")?;
        let (screen, reader) = collect(keyboard.try_clone()?);
        Ok(Self {
            keyboard,
            screen,
            reader,
            child,
        })
    }

    /// Returns everything shown so far, without carriage returns: their number depends on how many terminals the text has
    /// passed through.
    pub(crate) fn screen(&self) -> String {
        let bytes = self.screen.lock().expect("no reader panics");
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Types these keys.
    pub(crate) fn type_keys(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Waits until the screen contains this text.
    pub(crate) async fn shows(&self, wanted: &str) -> Result<()> {
        let what = format!("{wanted:?} on the screen");
        let shown = wait::until(&what, DEADLINE, async || {
            let ended = self.reader.is_finished();
            let shown = self.screen().contains(wanted);
            ensure!(shown || !ended, "the program has ended without {wanted:?}");
            Ok(shown.then_some(()))
        });
        shown.await.map_err(|error| self.failed(&error))
    }

    /// Types a line into `cat` and waits for the terminal's echo and the program's copy.
    pub(crate) async fn is_copied(&mut self) -> Result<()> {
        self.type_keys("hello\r")?;
        self.shows("hello\nhello\n").await
    }

    /// Changes its size and sends the program the signal for that.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        resize(&self.keyboard, columns, rows)?;
        // The kernel sends SIGWINCH only to processes whose controlling terminal this is. There are none.
        process::kill(self.child_pid()?, Signal::WINCH)
    }

    /// Kills the program, as a lost connection would.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for the program's end and returns its exit code.
    pub(crate) async fn ended(&mut self, node: &Node) -> Result<i32> {
        match tokio::time::timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => status?.code().context("the program was killed"),
            Err(_) => {
                let error = self.failed(&anyhow!("the program has not ended within {DEADLINE:?}"));
                node.with_log(Err(error))
            }
        }
    }

    fn child_pid(&self) -> Result<i32> {
        let pid = self.child.id().context("the program has ended")?;
        Ok(i32::try_from(pid)?)
    }

    fn failed(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\n--- the screen ---\n{}\n---", self.screen())
    }
}

fn resize(terminal: &File, columns: u16, rows: u16) -> Result<()> {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Collects the output on a thread of its own until the last program has closed the terminal.
fn collect(mut master: File) -> (Arc<Mutex<Vec<u8>>>, JoinHandle<()>) {
    let screen = Arc::new(Mutex::new(Vec::new()));
    let shown = screen.clone();
    let reader = std::thread::spawn(move || {
        let mut piece = vec![0; 4096];
        while let Ok(read @ 1..) = master.read(&mut piece) {
            let mut shown = shown.lock().expect("no reader panics");
            shown.extend_from_slice(&piece[..read]);
        }
    });
    (screen, reader)
}
