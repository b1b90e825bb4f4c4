//! `cargo xtask bench`: builds what is measured, and runs `bench/` on it.
//!
//! Only the counter, the hello-world component, our host and wrk are required. What cannot be built or installed here is
//! left out of the run, with a line that states why.

use crate::installed::Program;
use crate::setup::{self, Packages};
use crate::test::{Session, create_private};
use crate::{cargo, command, component, workspace};
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

/// The guests that only the benchmark measures: their packages, files and variables.
const GUESTS: [(&str, &str, Variable); 2] = [
    ("naive", "bench/naive", environment::NAIVE),
    ("visits-sdk", "bench/sdk", environment::SDK_COUNTER),
];

/// The options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the benchmark, which `cargo xtask bench --help` lists after a first run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds everything and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::LOAD.prepare()?;
    for packages in [&setup::PYTHON_PEER, &setup::INSTRUCTIONS] {
        optional(packages);
    }
    let mut environment = Environment::default();
    build(&mut environment)?;
    for (variable, program) in [
        (environment::OHA, oha()),
        (environment::WASMTIME, wasmtime()),
    ] {
        match program {
            Ok(path) => environment.set(variable, path),
            Err(error) => eprintln!("note: measuring without {}: {error:#}", variable.name()),
        }
    }
    let target = workspace::target()?;
    let session = Session::new()?;
    // On the repository's disk: a temporary directory may be in memory, where a sync costs nothing.
    let volumes = target.join("bench");
    std::fs::create_dir_all(&volumes)
        .with_context(|| format!("cannot create {}", volumes.display()))?;
    // Kept for later runs, because compiling takes a minute under valgrind.
    let code = target.join("bench-code");
    create_private(&code)?;
    environment.set(environment::HOST_CACHE, code);
    let mut bench = Command::new(workspace::program("visits-bench")?);
    bench.args(&options.arguments).env("TMPDIR", volumes);
    bench.env("BENCH_TARGET", &target);
    bench.current_dir(workspace::root());
    session.apply(&mut bench);
    environment.apply(&mut bench);
    command::run(bench)
}

/// Installs packages if that is possible. Otherwise it prints what the run lacks.
fn optional(packages: &Packages) {
    if let Err(error) = packages.prepare() {
        eprintln!("note: {error:#}");
    }
}

/// Builds what is part of this repository.
fn build(environment: &mut Environment) -> Result<()> {
    eprintln!("==> building the components");
    component::run()?;
    let mut guests = vec!["hello"];
    for (package, directory, variable) in GUESTS {
        if workspace::root().join(directory).is_dir() {
            guests.push(package);
            environment.set(variable, workspace::guest(&package.replace('-', "_"))?);
        }
    }
    command::run(cargo::guests("build", &guests)?)?;
    eprintln!("==> building the host, the native peer and the benchmark");
    let mut programs = vec!["preopen", "visits-bench"];
    if workspace::root().join("bench/native").is_dir() {
        programs.push("peer-native");
        environment.set(environment::NATIVE_PEER, workspace::program("peer-native")?);
    }
    command::run(cargo::programs(&programs)?)?;
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
    fn the_locked_version_is_that_of_the_package_with_exactly_this_name() {
        let lock = "[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"wasmtime\"\nversion = \"2.0.0\"\nsource = \"x\"\n";
        assert_eq!(version(lock, "wasmtime"), Some("2.0.0"));
        assert_eq!(version(lock, "wasm"), None);
        locked_version("wasmtime").expect("our host depends on it");
    }
}
