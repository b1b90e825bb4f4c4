//! The lines that a process writes. Tests wait for lines, and error messages contain them.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The lines read from one pipe of a process so far. Clones share them.
#[derive(Clone, Debug)]
pub struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    /// The number of lines, and whether the pipe has ended.
    progress: watch::Receiver<(usize, bool)>,
    paused: Arc<(Mutex<bool>, Condvar)>,
}

impl Output {
    /// Reads `pipe` to its end on a thread of its own, so that a full pipe blocks the process only after [`Output::pause`].
    pub fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (progress_tx, progress) = watch::channel((0, false));
        let collected = lines.clone();
        let paused = Arc::new((Mutex::new(false), Condvar::new()));
        let pause = paused.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches('\n')
                    .to_owned();
                line.clear();
                let count = {
                    let mut lines = collected.lock().expect("no reader panics");
                    lines.push(text);
                    lines.len()
                };
                progress_tx.send_replace((count, false));
                let (paused, changed) = &*pause;
                let paused = paused.lock().expect("no holder panics");
                drop(changed.wait_while(paused, |paused| *paused));
            }
            progress_tx.send_modify(|progress| progress.1 = true);
        });
        Self {
            lines,
            progress,
            paused,
        }
    }

    /// Reads no more until [`Output::resume`], once the next line has arrived.
    pub fn pause(&self) {
        *self.paused.0.lock().expect("no holder panics") = true;
    }

    /// Reads on after [`Output::pause`].
    pub fn resume(&self) {
        *self.paused.0.lock().expect("no holder panics") = false;
        self.paused.1.notify_all();
    }

    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    /// Waits for the first line for which `wanted` returns a value, and returns that. It may have arrived already. Returns
    /// `None` if the pipe ends or `deadline` passes first.
    pub async fn find<T>(
        &self,
        deadline: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        let mut progress = self.progress.clone();
        let mut seen = 0;
        let search = async {
            loop {
                let (_, ended) = *progress.borrow_and_update();
                let found = {
                    let lines = self.lines.lock().expect("no reader panics");
                    let found = lines[seen..].iter().find_map(|line| wanted(line));
                    seen = lines.len();
                    found
                };
                if found.is_some() || ended {
                    return found;
                }
                progress.changed().await.ok()?;
            }
        };
        tokio::time::timeout(deadline, search).await.ok().flatten()
    }

    /// Waits until the pipe has ended, so that every line of an ended process has arrived.
    pub async fn ended(&self, deadline: Duration) {
        let mut progress = self.progress.clone();
        let _ = tokio::time::timeout(deadline, progress.wait_for(|(_, ended)| *ended)).await;
    }
}
