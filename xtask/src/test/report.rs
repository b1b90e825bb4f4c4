//! Runs the steps of a plan, goes on after a failure, and ends with the closing line.

use super::durations::Durations;
use super::libtest::{self, Counts};
use super::plan::{Action, Plan, Step};
use super::session::Session;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Instant;

/// The outcomes so far.
struct Report {
    /// How many steps the plan has.
    steps: usize,
    counts: Counts,
    problems: Vec<String>,
}

/// Runs all steps and prints the closing line. The exit code is 0 only if a test passed and nothing failed.
pub(super) fn run(plan: Plan, session: &mut Session, durations: &mut Durations) -> ExitCode {
    let steps = plan.into_steps();
    let mut report = Report::of(steps.len());
    for step in steps {
        report.run(step, session, durations);
    }
    report.close()
}

impl Report {
    fn of(steps: usize) -> Self {
        Self {
            steps,
            counts: Counts::default(),
            problems: Vec::new(),
        }
    }

    /// Runs a step, unless one that it needs has failed. That failure is counted already.
    fn run(&mut self, step: Step, session: &mut Session, durations: &mut Durations) {
        let Step {
            name,
            action,
            needs,
        } = step;
        let title = format!("[{}/{}] {name}", session.passed.len() + 1, self.steps);
        if !needs
            .iter()
            .all(|need| need.of(&session.passed) == Some(true))
        {
            println!("==> {title}: not run, because an earlier step failed\n");
            self.problems.push(format!("NOT RUN {name}"));
            session.passed.push(false);
            return;
        }
        println!("==> {title}");
        let start = Instant::now();
        let result = self.act(action, session);
        let elapsed = start.elapsed();
        let seconds = elapsed.as_secs_f64();
        match &result {
            Ok(()) => {
                println!("==> {title}: ok in {seconds:.1} s\n");
                durations.set(&name, elapsed);
                if let Err(error) = durations.save() {
                    eprintln!("note: {error:#}");
                }
            }
            Err(error) => {
                println!("==> {title}: FAILED after {seconds:.1} s: {error:#}\n");
                self.problems.push(format!("FAILED {name}"));
            }
        }
        session.passed.push(result.is_ok());
    }

    fn act(&mut self, action: Action, session: &mut Session) -> Result<()> {
        let mut counts = Counts::default();
        let (result, is_test) = match action {
            Action::Check(act) => (act(session), true),
            Action::Build(act) => (act(session), false),
            Action::Tests(act) => {
                let run = act(session).and_then(|command| libtest::run(command, &mut counts));
                (run, false)
            }
        };
        match &result {
            Ok(()) => counts.passed += u64::from(is_test),
            // A run of `cargo test` that fails without a failed test was not compiled, or ended early.
            Err(_) if counts.failed == 0 => counts.failed = 1,
            Err(_) => {}
        }
        self.counts += counts;
        result
    }

    fn close(self) -> ExitCode {
        let Counts {
            passed,
            failed,
            skipped,
        } = self.counts;
        println!();
        for problem in &self.problems {
            println!("{problem}");
        }
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 && passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::process::Command;

    fn report_of(plan: Plan) -> Report {
        let mut session = Session::new().expect("the target directory is writable");
        let steps = plan.into_steps();
        let mut report = Report::of(steps.len());
        for step in steps {
            report.run(step, &mut session, &mut Durations::default());
        }
        report
    }

    #[test]
    fn a_command_that_fails_without_a_failed_test_counts_as_one() {
        let mut plan = Plan::default();
        plan.tests("of nothing", &[], |_| Ok(Command::new("false")));
        assert_eq!(report_of(plan).counts.failed, 1);
    }

    #[test]
    fn a_failing_run_is_counted_by_its_failed_tests() {
        let mut plan = Plan::default();
        plan.tests("of sh", &[], |_| {
            let mut command = Command::new("sh");
            let script = "echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 101";
            command.args(["-c", script]);
            Ok(command)
        });
        let report = report_of(plan);
        assert_eq!((report.counts.passed, report.counts.failed), (1, 2));
        assert_eq!(report.problems, ["FAILED test: of sh"]);
    }

    #[test]
    fn a_step_is_not_run_if_one_that_it_needs_failed_and_later_steps_are() {
        let mut plan = Plan::default();
        let broken = plan.build("the host", &[], |_| bail!("no compiler"));
        let tests = plan.check("of the host", &[broken], |_| panic!("it must not run"));
        plan.check("of its results", &[tests], |_| panic!("it must not run"));
        plan.check("of something else", &[], |_| Ok(()));
        let report = report_of(plan);
        assert_eq!((report.counts.passed, report.counts.failed), (1, 1));
        assert_eq!(
            report.problems,
            [
                "FAILED build: the host",
                "NOT RUN of the host",
                "NOT RUN of its results"
            ]
        );
    }
}
