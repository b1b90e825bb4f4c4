//! The plan of a run: its steps in order, known before the first of them starts, and what is skipped.

use super::durations::Durations;
use super::session::Session;
use crate::setup::Packages;
use anyhow::Result;
use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

/// The width of the column of names in the list of steps.
const NAME_WIDTH: usize = 44;

type Act<T> = Box<dyn FnOnce(&mut Session) -> Result<T>>;

/// The work of a step, and how its outcome is counted.
pub(super) enum Action {
    /// A test by itself, such as a lint.
    Check(Act<()>),
    /// A preparation for later steps. Only its failure counts.
    Build(Act<()>),
    /// A run of `cargo test`, whose tests are counted.
    Tests(Act<Command>),
}

/// One step.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) action: Action,
    /// The steps without which this one is not run.
    pub(super) needs: Vec<Id>,
}

/// The position of a step in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

/// The steps of a run.
#[derive(Default)]
pub(super) struct Plan {
    steps: Vec<Step>,
    skipped: Vec<String>,
}

impl Id {
    /// Returns the step's outcome, from those of all steps before.
    pub(super) fn of<T: Copy>(self, outcomes: &[T]) -> Option<T> {
        outcomes.get(self.0).copied()
    }
}

impl Plan {
    /// Adds a test that is not one of `cargo test`.
    pub(super) fn check(
        &mut self,
        name: &str,
        needs: &[Id],
        act: impl FnOnce(&mut Session) -> Result<()> + 'static,
    ) -> Id {
        self.add(name.to_owned(), needs, Action::Check(Box::new(act)))
    }

    /// Adds a preparation.
    pub(super) fn build(
        &mut self,
        name: &str,
        needs: &[Id],
        act: impl FnOnce(&mut Session) -> Result<()> + 'static,
    ) -> Id {
        self.add(
            format!("build: {name}"),
            needs,
            Action::Build(Box::new(act)),
        )
    }

    /// Adds a run of `cargo test`.
    pub(super) fn tests(
        &mut self,
        name: &str,
        needs: &[Id],
        act: impl FnOnce(&mut Session) -> Result<Command> + 'static,
    ) -> Id {
        self.add(format!("test: {name}"), needs, Action::Tests(Box::new(act)))
    }

    /// Adds the installation of packages, if they are missing and the plan does not contain it yet.
    pub(super) fn install(&mut self, packages: &'static Packages) -> Option<Id> {
        if packages.are_here() || packages.unavailable().is_some() {
            return None;
        }
        let name = format!("install: {} (apt-get)", packages.names().join(", "));
        if let Some(position) = self.steps.iter().position(|step| step.name == name) {
            return Some(Id(position));
        }
        let install = |_: &mut Session| packages.prepare();
        Some(self.add(name, &[], Action::Build(Box::new(install))))
    }

    /// Notes tests that are not run here, and why.
    pub(super) fn skip(&mut self, what: &str, why: &str) {
        let skipped = format!("{what}: {why}");
        // Two kinds of tests may need the same.
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }

    fn add(&mut self, name: String, needs: &[Id], action: Action) -> Id {
        self.steps.push(Step {
            name,
            action,
            needs: needs.to_vec(),
        });
        Id(self.steps.len() - 1)
    }

    /// Returns the steps, to be run.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Returns the first lines of a run: all steps with their durations, and what is skipped.
    pub(super) fn front(&self, durations: &Durations) -> String {
        let mut text = String::new();
        let (mut total, mut measured, mut usual) = (Duration::ZERO, 0, 0);
        for (index, step) in self.steps.iter().enumerate() {
            let last = durations.last(&step.name);
            let shown = last.or_else(|| durations.usual(&step.name));
            let mark = if last.is_none() { " *" } else { "" };
            total += shown.unwrap_or_default();
            measured += usize::from(last.is_some());
            usual += usize::from(last.is_none());
            let shown = shown.map_or("?".into(), |shown| text_of(shown) + mark);
            let _ = writeln!(text, "{:4}  {:NAME_WIDTH$} {shown}", index + 1, step.name);
        }
        let source = match (measured, usual) {
            (_, 0) => "as in the last run here",
            (0, _) => "as on two cores with nothing built",
            _ => "as in the last run here; with *, as on two cores with nothing built",
        };
        let steps = self.steps.len();
        let mut front = format!(
            "{steps} steps, about {} ({source}):\n{text}",
            text_of(total)
        );
        if !self.skipped.is_empty() {
            front += "skipped:\n";
            for skipped in &self.skipped {
                let _ = writeln!(front, "  {skipped}");
            }
        }
        front
    }
}

/// Returns a duration as people say it.
fn text_of(duration: Duration) -> String {
    let seconds = (duration.as_secs_f64().round() as u64).max(1);
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes @ 1..10, seconds @ 1..) => format!("{minutes} min {seconds} s"),
        (minutes, _) => format!("{minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_lists_each_step_with_its_duration_and_what_is_skipped() {
        let mut plan = Plan::default();
        let host = plan.build("the host", &[], |_| Ok(()));
        plan.tests("host", &[host], |_| Ok(Command::new("true")));
        plan.check("a check of no known duration", &[], |_| Ok(()));
        for _ in 0..2 {
            plan.skip("the browser tests", "Chromium is not installed");
        }
        let mut durations = Durations::default();
        durations.set("test: host", Duration::from_secs(61));
        let front = plan.front(&durations);
        let usual = text_of(
            durations
                .usual("build: the host")
                .expect("it is in the table"),
        );
        let lines: Vec<_> = front.lines().collect();
        assert!(lines[0].starts_with("3 steps, about "), "{front}");
        assert!(lines[1].contains("1  build: the host"), "{front}");
        assert!(
            lines[0].ends_with("with *, as on two cores with nothing built):"),
            "{front}"
        );
        assert!(lines[1].ends_with(&format!("{usual} *")), "{front}");
        assert!(lines[2].ends_with(" 1 min 1 s"), "{front}");
        assert!(lines[3].ends_with(" ?"), "{front}");
        assert_eq!(lines[4], "skipped:");
        assert_eq!(lines[5], "  the browser tests: Chromium is not installed");
        assert_eq!(lines.len(), 6, "{front}");
    }

    #[test]
    fn seconds_are_shown_of_short_durations() {
        let shown =
            [0, 59, 60, 125, 600, 3599].map(|seconds| text_of(Duration::from_secs(seconds)));
        assert_eq!(
            shown,
            ["1 s", "59 s", "1 min", "2 min 5 s", "10 min", "59 min"]
        );
    }
}
