//! Shows the progress of a Go build. Go itself prints nothing for minutes.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use visits_support::command::line;

/// How often progress is shown.
const TICK: Duration = Duration::from_secs(15);

/// A line of a program's output.
enum Line {
    Output,
    Error(String),
}

/// Counts of the lines so far.
#[derive(Default)]
struct Seen {
    output: usize,
    downloads: usize,
    packages: usize,
}

/// Lists a build's packages, which downloads their modules if they are missing, and then builds into this directory.
pub(super) fn build(list: Command, build: Command, directory: &Path) -> Result<()> {
    let all = run(list, |seen| {
        format!("{} modules downloaded", seen.downloads)
    })?
    .output;
    let programs = || std::fs::read_dir(directory).map_or(0, Iterator::count);
    run(build, |seen| {
        // Go prints a package's name when it compiles the package, and nothing for one in its cache.
        let packages = seen.packages;
        let programs = programs();
        format!("{packages} packages compiled, of {all} at most; {programs} programs linked")
    })?;
    Ok(())
}

/// Runs a program and returns the counts of its lines. Shows a line of progress at each tick.
fn run(mut command: Command, progress: impl Fn(&Seen) -> String) -> Result<Seen> {
    let line = line(&command);
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    let (sender, lines) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        read(output, sender.clone(), |_| Line::Output);
    }
    if let Some(error) = child.stderr.take() {
        read(error, sender, Line::Error);
    }
    let mut seen = Seen::default();
    let mut tick = start + TICK;
    loop {
        match lines.recv_timeout(tick.saturating_duration_since(Instant::now())) {
            Ok(line) => seen.take(line),
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("    {} s: {}", start.elapsed().as_secs(), progress(&seen));
                tick += TICK;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "{line} failed: {status}");
    Ok(seen)
}

/// Reads lines on a new thread, which ends with the program.
fn read(
    pipe: impl Read + Send + 'static,
    sender: Sender<Line>,
    line: impl Fn(String) -> Line + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut bytes), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if sender.send(line(text)).is_err() {
                break;
            }
            bytes.clear();
        }
    });
}

impl Seen {
    /// Counts a line. A line of another form is part of an error message, and is printed.
    fn take(&mut self, line: Line) {
        match line {
            Line::Output => self.output += 1,
            Line::Error(text) if text.starts_with("go: downloading ") => self.downloads += 1,
            Line::Error(text) if is_package(&text) => self.packages += 1,
            Line::Error(text) => eprintln!("{text}"),
        }
    }
}

/// Returns whether a line is the path of a package and nothing else.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains([' ', ':', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_lines_are_counted_and_its_failure_is_an_error() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let script = "echo one; echo two; echo 'go: downloading example.com/a v1' >&2; echo example.com/a/b >&2";
        let seen = run(shell(script), |_| String::new()).expect("it succeeds");
        assert_eq!((seen.output, seen.downloads, seen.packages), (2, 1, 1));
        run(shell("exit 3"), |_| String::new())
            .map(|_| ())
            .expect_err("it fails");
    }

    #[test]
    fn an_error_message_is_not_counted_as_a_package() {
        for line in [
            "",
            "# example.com/a",
            "main.go:3:2: undefined: x",
            "go: no such module",
        ] {
            assert!(!is_package(line), "{line}");
        }
    }
}
