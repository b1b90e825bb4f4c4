//! The progress of a run on the terminal: each step with its number, and how long all of them take.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// The steps of a run.
pub(crate) struct Progress {
    done: usize,
    all: usize,
    start: Instant,
}

impl Progress {
    /// Announces a number of steps that take about this long together.
    pub(crate) fn new(all: usize, estimate: Duration) -> Self {
        println!("{all} steps, about {}", minutes(estimate));
        Self {
            done: 0,
            all,
            start: Instant::now(),
        }
    }

    /// Runs one step and prints its result.
    pub(crate) fn step<T, E>(
        &mut self,
        title: &str,
        step: impl FnOnce() -> Result<T, E>,
        result: impl FnOnce(&T) -> String,
    ) -> Result<T, E> {
        self.done += 1;
        let width = self.all.to_string().len();
        print!("[{:width$}/{}] {title:54} ", self.done, self.all);
        // A terminal that is gone must not end a run.
        let _ = io::stdout().flush();
        let done = step();
        println!(
            "{}",
            done.as_ref().map_or_else(|_| "failed".to_owned(), result)
        );
        done
    }

    /// Returns how long the steps have taken.
    pub(crate) fn elapsed(&self) -> String {
        minutes(self.start.elapsed())
    }
}

/// Returns a duration in minutes and seconds.
fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 60 {
        0 => format!("{seconds} s"),
        minutes => format!("{minutes} min {} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_secs(59)), "59 s");
        assert_eq!(minutes(Duration::from_millis(61_900)), "1 min 1 s");
    }

    #[test]
    fn a_failed_step_keeps_its_error() {
        let mut progress = Progress::new(1, Duration::ZERO);
        let failed: Result<(), _> =
            progress.step("fails", || Err("the reason"), |()| String::new());
        assert_eq!(failed, Err("the reason"));
    }
}
