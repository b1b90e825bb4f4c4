//! Runs a suite: its output goes to a file, and its last line is shown now and then. Ctrl-C ends the suite, and what it left
//! is removed.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use visits_support::command::line;

/// How often progress is shown.
const TICK: Duration = Duration::from_secs(30);

/// The pause between two looks at the suite.
const PAUSE: Duration = Duration::from_millis(200);

/// How many bytes of the output are searched for its last line.
const END: u64 = 4096;

/// How many characters of a line are shown.
const WIDTH: usize = 110;

/// Whether Ctrl-C was pressed. The suite gets the signal too, and ends by itself.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets Ctrl-C end the suite and not this process, which still has to clean up.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("cannot catch Ctrl-C")
}

/// Runs a program to its end, with its output in this file.
pub(crate) fn run(mut command: Command, output: &Path) -> Result<ExitStatus> {
    let name = line(&command);
    let file =
        File::create(output).with_context(|| format!("cannot create {}", output.display()))?;
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut tick = start + TICK;
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait for the suite")? {
            break status;
        }
        if Instant::now() >= tick {
            println!("    {} s: {}", start.elapsed().as_secs(), last_line(output));
            tick += TICK;
        }
        std::thread::sleep(PAUSE);
    };
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(status)
}

fn last_line(output: &Path) -> String {
    let end = || -> Result<String> {
        let mut file = File::open(output)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = end().unwrap_or_default();
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty());
    line.unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(WIDTH)
        .collect()
}
