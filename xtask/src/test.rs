//! `cargo xtask test`: everything that proves the project, in one run that goes on after a failure.
//!
//! - [`environment`]: what the tests find in their environment: the built things, the browser, a cache
//! - [`report`]: steps with their durations, cargo's result lines, the closing line
//!
//! The order is that of the shortest way to a first failure: formatting takes a second, the builds are needed by
//! the tests, and the lints, which check every dependency once more, come last. Everything native is in release
//! (see [`crate::cargo`]), so wasmtime is compiled once.

mod environment;
mod report;

pub(crate) use environment::Environment;

use crate::{cargo, component, setup, workspace};
use anyhow::Result;
use clap::ValueEnum;
use report::Report;
use std::process::{Command, ExitCode};

/// The packages that are components; each is built and linted for its own target.
const GUESTS: [&str; 3] = ["visits", "probe", "hello"];

/// What `test` takes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kind of tests to run
    #[arg(value_enum, default_value_t = Kind::All)]
    kind: Kind,
}

/// The kinds of tests.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Everything
    All,
    /// Tests inside the crates, and the examples in their documentation
    Unit,
    /// The real host over TCP, on real directories
    Http,
    /// A real browser on the page
    Browser,
    /// Formatting, clippy and the documentation's build
    Lint,
}

/// Runs the steps of this kind. The exit code is 0 only if something ran and nothing failed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let is = |kind| options.kind == kind || options.kind == Kind::All;
    let mut report = Report::default();
    if is(Kind::Lint) {
        report.check("cargo fmt", || cargo::run(formatting()?));
    }
    let environment = Environment::new()?;
    let built = if options.kind == Kind::Lint {
        false
    } else {
        build(&mut report, options.kind)
    };
    if is(Kind::Unit) {
        suite(&mut report, &environment, "unit", &["--lib", "--bins"])?;
        suite(&mut report, &environment, "documentation", &["--doc"])?;
    }
    if is(Kind::Http) && built {
        suite(&mut report, &environment, "http", &["--test", "http"])?;
    }
    if is(Kind::Browser) && built {
        browser(&mut report, environment)?;
    }
    if is(Kind::Lint) {
        lint(&mut report);
    }
    Ok(report.close())
}

/// Builds what the tests run; whether all of it is there.
fn build(report: &mut Report, kind: Kind) -> bool {
    if kind == Kind::Unit {
        return true;
    }
    // The counter alone first: what is tested is then, bit for bit, what `up` serves.
    report.build("the component", component::run)
        & report.build("the other guests", || {
            cargo::run(cargo::guests("build", &GUESTS[1..])?)
        })
        & report.build("the host", || cargo::run(cargo::host()?))
}

/// One run of `cargo test`.
fn suite(
    report: &mut Report,
    environment: &Environment,
    name: &str,
    targets: &[&str],
) -> Result<()> {
    let mut command = cargo::native("test")?;
    // --no-fail-fast: one failing crate hides no other.
    command.arg("--no-fail-fast").args(targets);
    environment.apply(&mut command);
    if name == "documentation" {
        // Of an example, "ignored" means that it cannot run anywhere.
    } else if workspace::is_root() || name == "browser" && environment.has_chromium() {
        command.args(["--", "--include-ignored"]);
    } else if name == "http" {
        eprintln!("note: tests that mount volumes need root on Linux and are skipped");
    }
    report.tests(name, command);
    Ok(())
}

/// The browser suite, after installing the browser where that is possible; elsewhere its tests count as skipped.
fn browser(report: &mut Report, mut environment: Environment) -> Result<()> {
    if !environment.has_chromium() {
        if setup::can_install() {
            report.build("the browser", setup::run);
            environment.find_chromium()?;
        } else {
            eprintln!(
                "note: there is no Chromium, so the browser tests are skipped; to run them: {}",
                setup::by_hand()
            );
        }
    }
    suite(report, &environment, "browser", &["--test", "browser"])
}

fn lint(report: &mut Report) {
    report.check("clippy", || {
        let mut clippy = cargo::native("clippy")?;
        clippy.args(["--all-targets", "--", "-D", "warnings"]);
        cargo::run(clippy)
    });
    report.check("clippy of the guests", || {
        let mut clippy = cargo::guests("clippy", &GUESTS)?;
        clippy.args(["--", "-D", "warnings"]);
        cargo::run(clippy)
    });
    report.check("documentation", || {
        let mut doc = cargo::native("doc")?;
        doc.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
        cargo::run(doc)
    });
}

fn formatting() -> Result<Command> {
    let mut fmt = cargo::command("fmt")?;
    fmt.args(["--all", "--check"]);
    Ok(fmt)
}

#[cfg(test)]
mod tests {
    /// A suite added to tests/Cargo.toml without a step here would never run.
    #[test]
    fn every_suite_has_a_step() {
        let manifest = crate::workspace::root().join("tests/Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("tests/Cargo.toml");
        let suites: Vec<_> = manifest
            .split("[[test]]")
            .skip(1)
            .map(|table| table.trim().lines().next().expect("a name"))
            .collect();
        assert_eq!(suites, ["name = \"http\"", "name = \"browser\""]);
    }
}
