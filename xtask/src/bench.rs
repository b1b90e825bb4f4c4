//! `cargo xtask bench`: builds what is measured, and runs `bench/` on it.
//!
//! What cannot be built or installed here is left out of the run, with a line that states why. Only wrk and what is part of
//! this repository are required.

use crate::cluster::Cluster;
use crate::installed::Program;
use crate::setup;
use crate::test::{Session, create_private};
use crate::workspace::{self, RELEASE_PROFILE};
use crate::{cargo, command, component};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use visits_support::environment::{self, Environment, Variable};

/// The version of the load generator that is built.
const OHA: &str = "1.16.0";

/// The features of wasmtime's command that `wasmtime serve` needs for WASI 0.2 and 0.3, and those that make it fast: a
/// pool of instances and a compiler on all cores. `threads`, `gc` and its collector are compiled into our host, too. The
/// others (a cache, profiling, other compilers) would make the build longer.
const WASMTIME_FEATURES: &[&str] = &[
    "component-model",
    "component-model-async",
    "cranelift",
    "gc",
    "gc-null",
    "parallel-compilation",
    "pooling-allocator",
    "run",
    "serve",
    "threads",
];

/// The guests beside the counter: their packages and variables.
const GUESTS: [(&str, Variable); 3] = [
    ("hello", environment::HELLO),
    ("naive", environment::NAIVE),
    ("visits-sdk", environment::SDK_COUNTER),
];

/// Installs a program, unless an earlier run has, and returns its path.
type Install = fn() -> Result<PathBuf>;

/// The options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the benchmark, which `cargo xtask bench --help` lists after a first run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds everything that these options need, and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |part: &str| is_wanted(&options.arguments, part);
    setup::LOAD.prepare()?;
    let optional = [
        ("python", &setup::PYTHON_PEER),
        ("instructions", &setup::INSTRUCTIONS),
        ("generators", &setup::H2LOAD),
    ];
    for (_, packages) in optional.iter().filter(|(part, _)| wanted(part)) {
        if let Err(error) = packages.prepare() {
            eprintln!("note: {error:#}");
        }
    }
    let mut environment = Environment::default();
    build(&mut environment)?;
    let programs: [(&[&str], Variable, Install); 2] = [
        (&["open", "generators"], environment::OHA, oha),
        (
            &["wasmtime", "pod-wasmtime"],
            environment::WASMTIME,
            wasmtime,
        ),
    ];
    let is_used = |parts: &[&str]| parts.iter().any(|part| wanted(part));
    for (_, variable, install) in programs.iter().filter(|(parts, ..)| is_used(parts)) {
        match install() {
            Ok(path) => environment.set(*variable, path),
            Err(error) => eprintln!("note: {error:#}"),
        }
    }
    // Without these, no cluster of this project can run here, and the pods are left out.
    if let Ok(cluster) = Cluster::find() {
        environment.extend(cluster.environment());
    }
    let target = workspace::target()?;
    // On the repository's disk: a temporary directory may be in memory, where a sync costs nothing.
    let volumes = target.join("bench");
    std::fs::create_dir_all(&volumes)
        .with_context(|| format!("cannot create {}", volumes.display()))?;
    // Kept for later runs, because compiling takes a minute under valgrind.
    let code = target.join("bench-code");
    create_private(&code)?;
    environment.set(environment::HOST_CACHE, code);
    let session = Session::new()?;
    let mut bench = Command::new(workspace::program("visits-bench")?);
    bench
        .args(&options.arguments)
        .env("TMPDIR", volumes)
        .env("BENCH_TARGET", target)
        .current_dir(workspace::root());
    session.apply(&mut bench);
    environment.apply(&mut bench);
    command::run(bench)
}

/// Returns whether the benchmark's options choose a part of it, such as `open`, or servers whose names begin so.
fn is_wanted(arguments: &[OsString], part: &str) -> bool {
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let words = words.join("=");
    let Some((_, only)) = words.split_once("--only=") else {
        return !words.contains("--render");
    };
    let names = only.split('=').next().unwrap_or_default();
    names.split(',').any(|name| name.starts_with(part))
}

/// Builds what is part of this repository.
fn build(environment: &mut Environment) -> Result<()> {
    eprintln!("==> building the components");
    component::run()?;
    let packages = GUESTS.map(|(package, _)| package);
    command::run(cargo::guests("build", &packages)?)?;
    for (package, variable) in GUESTS {
        environment.set(variable, workspace::guest(&package.replace('-', "_"))?);
    }
    eprintln!("==> building the benchmark");
    command::run(cargo::programs(&["visits-bench"])?)?;
    // As a release is built: one crate of everything, which takes long and makes faster programs.
    eprintln!("==> building the host and the native peer: some ten minutes the first time");
    let programs = [
        ("preopen", environment::HOST),
        ("peer-native", environment::NATIVE_PEER),
    ];
    command::run(cargo::programs_with(
        RELEASE_PROFILE,
        &programs.map(|(name, _)| name),
    )?)?;
    for (name, variable) in programs {
        environment.set(
            variable,
            workspace::target()?.join(RELEASE_PROFILE).join(name),
        );
    }
    environment.set(
        environment::PYTHON_PEER,
        workspace::root().join("bench/app-py/app.py"),
    );
    Ok(())
}

fn oha() -> Result<PathBuf> {
    let oha = Program {
        package: "oha",
        version: OHA,
        name: "oha",
        features: None,
        duration: "some four minutes",
    };
    oha.install()
}

/// Returns the path of wasmtime's command, of the version that our host uses.
fn wasmtime() -> Result<PathBuf> {
    let wasmtime = Program {
        package: "wasmtime-cli",
        version: &locked_version("wasmtime")?,
        name: "wasmtime",
        features: Some(WASMTIME_FEATURES),
        duration: "some ten minutes",
    };
    wasmtime.install()
}

/// Returns the version of a package in Cargo.lock.
fn locked_version(package: &str) -> Result<String> {
    let path = workspace::root().join("Cargo.lock");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    match version(&text, package) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("{} has no package {package}", path.display()),
    }
}

fn version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = {package:?}");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = ")?;
    Some(version.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_choose_what_is_built() {
        let wanted = |line: &str, part| {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            is_wanted(&words, part)
        };
        assert!(wanted("--quick", "wasmtime"));
        assert!(wanted("--only visits,wasmtime-hello --quick", "wasmtime"));
        assert!(wanted("--only=open", "open"));
        assert!(wanted("--only pod-wasmtime-visits", "pod-wasmtime"));
        assert!(!wanted("--rounds 3 --only visits", "wasmtime"));
        assert!(!wanted("--only hello --other-host wasmtime", "wasmtime"));
        assert!(!wanted("--render", "wasmtime"));
    }

    #[test]
    fn the_locked_version_is_that_of_the_package_with_exactly_this_name() {
        let lock = "[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"wasmtime\"\nversion = \"2.0.0\"\nsource = \"x\"\n";
        assert_eq!(version(lock, "wasmtime"), Some("2.0.0"));
        assert_eq!(version(lock, "wasm"), None);
        locked_version("wasmtime").expect("our host depends on it");
    }
}
