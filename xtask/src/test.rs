//! `cargo xtask test`: everything that proves the project, in one run that goes on after a failure.
//!
//! - [`environment`]: what the tests find in their environment: the built things, the browser, a cache
//! - [`node`], [`debian`]: the containerd that the shim is tested under, and Debian's
//! - [`mod@cluster`]: the Kubernetes that the whole is tested on
//! - [`report`]: steps with their durations, cargo's result lines, the closing line
//!
//! The order is that of the shortest way to a first failure: formatting takes a second, the builds are needed by
//! the tests, and the lints, which check every dependency once more, come last. Everything native is in release
//! (see [`crate::cargo`]), so wasmtime is compiled once.

mod cluster;
mod debian;
mod environment;
mod node;
mod report;

pub(crate) use environment::Environment;

use crate::setup::{self, BROWSER as BROWSER_PACKAGES};
use crate::{audit, cargo, command, component, sdks, toolbox, workspace};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use cluster::TestCluster;
use node::Node;
use report::Report;
use std::process::{Command, ExitCode};

/// The packages that are components; each is built and linted for its own target.
const GUESTS: [&str; 4] = ["visits", "probe", "command", "hello"];

/// The suite that needs reverse proxies and h2spec for some of its tests.
const HOST: &str = "host";
/// The suite that needs a browser, and is a kind of its own.
const BROWSER: &str = "browser";
/// The suite that needs a containerd, likewise.
const CONTAINERD: &str = "containerd";
/// The suite that needs one, too, and is run with it.
const INSTALLER: &str = "installer";
/// The suite that needs a cluster, likewise.
const CLUSTER: &str = "cluster";
/// The part of it that needs a dual-stack cluster.
const BOTH_FAMILIES: &str = "families::";
/// The part of it that needs a cluster without IPv4.
const IPV6_ALONE: &str = "ipv6_alone::";
/// The suite that needs the cluster's kubectl, and goes before.
const MANIFESTS: &str = "manifests";

/// How many tests share the cluster at a time: each waits for pods most of its time.
const THREADS: &str = "3";

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
    /// The real host over TCP, on real directories: every suite in tests/ but those below
    Host,
    /// The shim under a real containerd, and what installs it there
    Containerd,
    /// A real browser on the page
    Browser,
    /// The whole on a real Kubernetes
    Cluster,
    /// Formatting, clippy, the documentation's build and the dependencies' licenses and sources
    Lint,
}

/// Runs the steps of this kind. The exit code is 0 only if something ran and nothing failed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let is = |kind| options.kind == kind || options.kind == Kind::All;
    let mut report = Report::default();
    if is(Kind::Lint) {
        report.check("cargo fmt", || command::run(formatting()?));
    }
    if let Err(error) = setup::prepare_shim() {
        eprintln!("note: {error:#}");
    }
    let mut environment = Environment::new()?;
    let built = if options.kind == Kind::Lint {
        false
    } else {
        build(&mut report, options.kind)
    };
    if is(Kind::Unit) {
        suite(&mut report, &environment, "unit", &["--lib", "--bins"])?;
        suite(&mut report, &environment, "examples", &["--doc"])?;
    }
    let needs_builds = [Kind::Host, Kind::Containerd, Kind::Browser, Kind::Cluster];
    if !built && needs_builds.into_iter().any(is) {
        eprintln!("note: only the unit tests are run, for what the others run was not built");
    }
    if (is(Kind::Host) || is(Kind::Containerd)) && built {
        // The tests of those that cannot be built fail and name this step.
        report.build("components of other SDKs", sdks::build);
    }
    if is(Kind::Host) && built {
        if !workspace::is_root() {
            eprintln!("note: tests that mount volumes need root on Linux and are skipped");
        }
        host(&mut report, &mut environment)?;
        let other = [HOST, BROWSER, CONTAINERD, INSTALLER, CLUSTER, MANIFESTS];
        for name in suites()?
            .iter()
            .filter(|name| !other.contains(&name.as_str()))
        {
            suite(&mut report, &environment, name, &["--test", name])?;
        }
    }
    if is(Kind::Containerd) && built {
        containerd(&mut report, &environment)?;
    }
    if is(Kind::Browser) && built {
        browser(&mut report, &mut environment)?;
    }
    if is(Kind::Cluster) && built {
        cluster(&mut report, &mut environment)?;
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
    // Before anything compiles the shim, which would be built again with it.
    let needs_shim =
        matches!(kind, Kind::All | Kind::Containerd | Kind::Cluster) && setup::shim_links();
    // The counter alone first: what is tested is then, bit for bit, what `up` serves.
    report.build("the component", component::run)
        & report.build("the other guests", || {
            command::run(cargo::guests("build", &GUESTS[1..])?)
        })
        & report.build("the host", || command::run(cargo::host()?))
        & (!needs_shim || report.build("the toolbox", toolbox::run))
}

/// One run of `cargo test`, with ignored tests where this machine can run them.
fn suite(
    report: &mut Report,
    environment: &Environment,
    name: &str,
    targets: &[&str],
) -> Result<()> {
    let mut command = tests(environment, targets)?;
    let ignored_too = match name {
        // Of an example, "ignored" means that it cannot run anywhere.
        "examples" => false,
        BROWSER => environment.has_chromium(),
        CONTAINERD | CLUSTER | MANIFESTS => false,
        _ => workspace::is_root(),
    };
    if ignored_too {
        command.args(["--", "--include-ignored"]);
    }
    report.tests(name, command);
    Ok(())
}

/// The tests of the host over TCP, without those for which something is missing here.
fn host(report: &mut Report, environment: &mut Environment) -> Result<()> {
    let missing = environment.prepare_host();
    let mut command = tests(environment, &["--test", HOST])?;
    command.args(["--", "--include-ignored"]);
    for (name, why) in missing {
        eprintln!("note: the host tests with {name} are skipped: {why}");
        command.args(["--skip", name]);
    }
    // The one test that mounts.
    if !workspace::is_root() {
        command.args(["--skip", "a_read_only_mount"]);
    }
    report.tests(HOST, command);
    Ok(())
}

/// `cargo test` of these targets.
fn tests(environment: &Environment, targets: &[&str]) -> Result<Command> {
    let mut command = cargo::native("test")?;
    // --no-fail-fast: one failing crate hides no other.
    command.arg("--no-fail-fast").args(targets);
    environment.apply(&mut command);
    Ok(command)
}

/// The shim's suites, on a containerd that is built for it; where that is not possible their tests count as skipped.
fn containerd(report: &mut Report, environment: &Environment) -> Result<()> {
    const SUITES: [&str; 2] = [CONTAINERD, INSTALLER];
    if let Some(missing) = node::missing() {
        eprintln!("note: the containerd tests are skipped: {missing}");
        return SUITES
            .iter()
            .try_for_each(|name| suite(report, environment, name, &["--test", name]));
    }
    let mut node = None;
    let built = report.build("the shim", || command::run(cargo::shim()?))
        & report.build("containerd and its tools", || {
            node = Some(Node::build()?);
            Ok(())
        });
    if let (true, Some(node)) = (built, node) {
        for name in SUITES {
            let mut command = tests(environment, &["--test", name])?;
            node.apply(&mut command);
            command
                .args(node::runner()?)
                .args(["--", "--include-ignored"]);
            if !node.has_debian() {
                command.args(["--skip", "debian"]);
            }
            report.tests(name, command);
        }
    }
    Ok(())
}

/// The browser suite, after installing the browser where that is possible; elsewhere its tests count as skipped.
fn browser(report: &mut Report, environment: &mut Environment) -> Result<()> {
    prepare_browser(report, environment)?;
    suite(report, environment, BROWSER, &["--test", BROWSER])
}

fn prepare_browser(report: &mut Report, environment: &mut Environment) -> Result<()> {
    if environment.has_chromium() {
        return Ok(());
    }
    if setup::can_install() {
        report.build("the browser", || BROWSER_PACKAGES.install());
        return environment.find_chromium();
    }
    eprintln!(
        "note: there is no Chromium, so the browser tests are skipped; to run them: {}",
        BROWSER_PACKAGES.by_hand()
    );
    Ok(())
}

/// The suite on a cluster of its own, where there can be one; elsewhere its tests count as skipped.
fn cluster(report: &mut Report, environment: &mut Environment) -> Result<()> {
    let targets = ["--test", CLUSTER];
    let manifests = ["--test", MANIFESTS];
    if let Some(missing) = crate::cluster::missing() {
        eprintln!(
            "note: the cluster tests are skipped, and those that render manifests: {missing}"
        );
        suite(report, environment, MANIFESTS, &manifests)?;
        return suite(report, environment, CLUSTER, &targets);
    }
    prepare_browser(report, environment)?;
    let mut command = tests(environment, &targets)?;
    let mut cluster = None;
    report.build("Kubernetes", || {
        cluster = Some(TestCluster::build()?);
        Ok(())
    });
    let Some(cluster) = cluster else {
        return Ok(());
    };
    let mut rendered = tests(environment, &manifests)?;
    cluster.apply(&mut rendered);
    rendered.args(["--", "--include-ignored"]);
    report.tests(MANIFESTS, rendered);
    command.args(["--", "--include-ignored", "--test-threads", THREADS]);
    command.args(["--skip", IPV6_ALONE]);
    if !cluster.has_installer() {
        command.args(["--skip", INSTALLER]);
    }
    if !cluster::has_ipv6() {
        eprintln!("note: the tests of IPv6 are left out: the kernel does not have it");
        command.args(["--skip", BOTH_FAMILIES]);
        on_cluster(report, &cluster, CLUSTER, command);
        return Ok(());
    }
    on_cluster(report, &cluster, CLUSTER, command);
    let cluster = cluster.with_ipv6_alone()?;
    let mut command = tests(environment, &targets)?;
    command.args(["--", "--include-ignored", IPV6_ALONE]);
    on_cluster(report, &cluster, "cluster, IPv6 alone", command);
    Ok(())
}

/// Brings a cluster up, runs tests on it, and takes it down whatever they did.
fn on_cluster(report: &mut Report, cluster: &TestCluster, name: &str, mut tests: Command) {
    let mut passed = report.build("the cluster", || cluster.up());
    if passed {
        cluster.apply(&mut tests);
        passed = report.tests(name, tests);
    }
    if !passed {
        cluster.keep_logs();
    }
    report.build("the cluster's end", || cluster.down());
}

/// The suites of the whole, as tests/Cargo.toml lists them: one added there runs without a word here.
fn suites() -> Result<Vec<String>> {
    let path = workspace::root().join("tests/Cargo.toml");
    let manifest = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let suites: Vec<_> = manifest
        .split("[[test]]")
        .skip(1)
        .filter_map(|table| {
            table
                .trim_start()
                .strip_prefix("name = \"")?
                .split_once('"')
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    let listed = manifest.matches("[[test]]").count();
    ensure!(
        suites.len() == listed,
        "{}: of {listed} tables [[test]], {} begin with a name",
        path.display(),
        suites.len()
    );
    Ok(suites)
}

fn lint(report: &mut Report) {
    report.check("cargo clippy", || {
        let mut clippy = cargo::native("clippy")?;
        clippy.args(["--all-targets", "--", "-D", "warnings"]);
        command::run(clippy)
    });
    report.check("cargo clippy, the guests", || {
        let mut clippy = cargo::guests("clippy", &GUESTS)?;
        clippy.args(["--", "-D", "warnings"]);
        command::run(clippy)
    });
    report.check("cargo clippy, the toolbox", || {
        let mut clippy = cargo::toolbox("clippy")?;
        clippy.args(["--", "-D", "warnings"]);
        command::run(clippy)
    });
    report.check("cargo doc", || {
        let mut doc = cargo::native("doc")?;
        doc.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings");
        command::run(doc)
    });
    if report.build("cargo-deny", || audit::install().map(drop)) {
        report.check("cargo deny", audit::run_offline);
    }
}

fn formatting() -> Result<Command> {
    let mut fmt = cargo::command("fmt")?;
    fmt.args(["--all", "--check"]);
    Ok(fmt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_are_found() {
        let suites = suites().expect("tests/Cargo.toml is well formed");
        assert!(suites.contains(&"host".to_owned()), "{suites:?}");
        assert!(suites.contains(&BROWSER.to_owned()), "{suites:?}");
    }
}
