//! `cargo xtask fuzz`: runs the fuzz targets with cargo-fuzz for a number of inputs, and mutated requests on the host's
//! socket.

use crate::installed::Program;
use crate::test::Session;
use crate::{cargo, command, component, workspace};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::environment;

/// The version of cargo-fuzz that is built.
const VERSION: &str = "0.13.1";

/// The target that is no target of cargo-fuzz, because it needs a running host.
const SOCKET: &str = "socket";

/// The components that the suite of the host runs.
const GUESTS: [&str; 1] = ["probe"];

/// The longest input in bytes. Longer ones take more time and reach no more of a parser.
const MAX_LENGTH: usize = 4096;

/// Options of `fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// The targets, such as volume; all of them if none is named
    targets: Vec<String>,
    /// How many inputs each target gets
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
}

/// Runs the targets one after another. A finding ends the run.
pub(crate) fn run(options: &Options) -> Result<()> {
    let known = targets()?;
    let chosen = match options.targets.as_slice() {
        [] => &known,
        chosen => chosen,
    };
    for target in chosen {
        ensure!(
            known.contains(target),
            "no fuzz target is called {target}: use one of {}",
            known.join(", ")
        );
    }
    for target in chosen {
        eprintln!("==> fuzzing {target}: {} inputs", options.runs);
        match target.as_str() {
            SOCKET => socket(options.runs),
            parser => fuzz(parser, options.runs),
        }
        .with_context(|| format!("the fuzz target {target}"))?;
    }
    Ok(())
}

fn directory() -> PathBuf {
    workspace::root().join("fuzz")
}

/// Returns the names of all targets, sorted.
fn targets() -> Result<Vec<String>> {
    let sources = directory().join("fuzz_targets");
    let entries = std::fs::read_dir(&sources)
        .with_context(|| format!("cannot read {}", sources.display()))?;
    let mut names = vec![SOCKET.to_owned()];
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().map(|it| it.display().to_string()));
    }
    names.sort();
    Ok(names)
}

/// Runs a target of cargo-fuzz. libFuzzer keeps new inputs in `fuzz/corpus`, and a failing one in `fuzz/artifacts`.
fn fuzz(target: &str, runs: u64) -> Result<()> {
    let program = Program {
        package: "cargo-fuzz",
        version: VERSION,
        name: "cargo-fuzz",
        features: None,
        duration: "half a minute",
    };
    let corpus = directory().join("corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .with_context(|| format!("cannot create {}", corpus.display()))?;
    command::run(cargo_fuzz(&program.install()?, target, &corpus, runs))
}

fn cargo_fuzz(program: &Path, target: &str, corpus: &Path, runs: u64) -> Command {
    let mut fuzz = Command::new(program);
    fuzz.current_dir(workspace::root())
        // The parsers have no unsafe code, and the sanitizer of memory would double the time.
        .args(["run", "--sanitizer", "none", target])
        .arg(corpus)
        .arg(directory().join("seeds").join(target))
        .arg("--")
        .arg(format!("-runs={runs}"))
        .arg(format!("-max_len={MAX_LENGTH}"))
        .args(["-timeout=10", "-print_final_stats=1"])
        // cargo-fuzz needs options of a nightly compiler. This enables them in any other.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("CARGO_TARGET_DIR");
    fuzz
}

/// Sends mutated requests to a real host.
fn socket(runs: u64) -> Result<()> {
    component::run()?;
    command::run(cargo::guests("build", &GUESTS)?)?;
    command::run(cargo::host()?)?;
    let session = Session::new()?;
    let mut test = session.cargo_test(&["--test", "host"])?;
    test.args(["--", "--nocapture", "--test-threads=1", "mutated_bytes"]);
    test.env(environment::MUTATIONS.name(), runs.to_string());
    command::run(test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds_and_a_program() {
        let manifest = std::fs::read_to_string(directory().join("Cargo.toml")).expect("it exists");
        for target in targets().expect("they can be listed") {
            if target == SOCKET {
                continue;
            }
            let seeds = directory().join("seeds").join(&target);
            let mut seeds = std::fs::read_dir(&seeds).expect("a directory of seeds");
            assert!(seeds.next().is_some(), "{target} has no seed");
            let program = format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"");
            assert!(manifest.contains(&program), "{target} is not in Cargo.toml");
        }
    }
}
