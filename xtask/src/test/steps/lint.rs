//! The lints: formatting, clippy, shell scripts, the documentation's build, and the dependencies.

use super::{GUESTS, MEASURED_GUESTS};
use crate::setup::SHELLCHECK;
use crate::test::plan::Plan;
use crate::{audit, cargo, command, doc, workspace};
use anyhow::{Context, Result, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shells whose scripts shellcheck reads.
const SHELLS: [&str; 3] = ["sh", "bash", "dash"];

/// Directories with the output of builds, with git's own files and with a counter's volume.
const NOT_SOURCE: [&str; 3] = ["target", ".git", "persistent"];

/// Adds the check of the formatting, which takes a second.
pub(in crate::test) fn format(plan: &mut Plan) {
    plan.check("cargo fmt", &[], |_| {
        let mut fmt = cargo::command("fmt")?;
        fmt.args(["--all", "--check"]);
        command::run(fmt)
    });
}

/// Adds clippy on everything native, tests included.
pub(in crate::test) fn clippy(plan: &mut Plan) {
    plan.check("cargo clippy", &[], |_| {
        let mut clippy = cargo::native("clippy")?;
        clippy.arg("--all-targets");
        deny_warnings(clippy)
    });
}

/// Adds all other lints.
pub(in crate::test) fn others(plan: &mut Plan) {
    plan.check("cargo clippy, the guests", &[], |_| {
        let guests = [&GUESTS[..], &MEASURED_GUESTS].concat();
        deny_warnings(cargo::guests("clippy", &guests)?)
    });
    plan.check("cargo clippy, the toolbox", &[], |_| {
        deny_warnings(cargo::toolbox("clippy")?)
    });
    match SHELLCHECK.unavailable() {
        Some(why) => plan.skip("the lint of shell scripts", &why),
        None => {
            let needs: Vec<_> = plan.install(&SHELLCHECK).into_iter().collect();
            plan.check("shellcheck", &needs, |_| shellcheck());
        }
    }
    plan.check("cargo doc", &[], |_| doc::check());
    let deny = plan.build("cargo-deny", &[], |_| audit::install().map(drop));
    plan.check("cargo deny", &[deny], |_| audit::run_offline());
}

fn deny_warnings(mut clippy: Command) -> Result<()> {
    clippy.args(["--", "-D", "warnings"]);
    command::run(clippy)
}

fn shellcheck() -> Result<()> {
    let scripts = scripts()?;
    ensure!(
        !scripts.is_empty(),
        "no shell script found in the repository"
    );
    let mut shellcheck = Command::new("shellcheck");
    shellcheck.args(scripts).current_dir(workspace::root());
    command::run(shellcheck)
}

/// Returns the repository's shell scripts. Their first line names a shell.
fn scripts() -> Result<Vec<PathBuf>> {
    let mut scripts = Vec::new();
    find_scripts(&workspace::root(), &mut scripts)?;
    scripts.sort();
    Ok(scripts)
}

fn find_scripts(directory: &Path, scripts: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read the directory {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_SOURCE.iter().any(|name| entry.file_name() == *name) {
            find_scripts(&entry.path(), scripts)?;
        } else if kind.is_file() && is_script(&entry.path()) {
            scripts.push(entry.path());
        }
    }
    Ok(())
}

fn is_script(file: &Path) -> bool {
    let mut start = [0; 64];
    let read = std::fs::File::open(file)
        .and_then(|mut file| file.read(&mut start))
        .unwrap_or_default();
    let start = String::from_utf8_lossy(&start[..read]);
    let line = start.lines().next().unwrap_or_default();
    let Some(interpreter) = line.strip_prefix("#!") else {
        return false;
    };
    // After `env` or a path.
    let program = interpreter.split([' ', '/']).rfind(|word| !word.is_empty());
    program.is_some_and(|program| SHELLS.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_scripts_are_found_and_a_rust_attribute_is_not_taken_for_a_shell() {
        let scripts = scripts().expect("the repository is readable");
        let found = |name| scripts.contains(&workspace::root().join(name));
        assert!(found("runtimeclass/installer/preopen-node"), "{scripts:?}");
        assert!(found(".ci/run"), "{scripts:?}");
        assert!(!found("fuzz/fuzz_targets/config.rs"), "{scripts:?}");
    }
}
