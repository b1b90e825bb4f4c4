//! The lints: formatting, clippy, shell scripts, the documentation's build, and the dependencies.

use super::GUESTS;
use crate::setup::SHELLCHECK;
use crate::test::plan::Plan;
use crate::{audit, cargo, command, doc, workspace};
use anyhow::{Context, Result, ensure};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shells whose scripts shellcheck reads.
const SHELLS: [&str; 3] = ["sh", "bash", "dash"];

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
        deny_warnings(cargo::guests("clippy", &GUESTS)?)
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
    let mut list = Command::new("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ])
    .current_dir(workspace::root());
    let output = list.output().context("cannot run git, to list the files")?;
    ensure!(
        output.status.success(),
        "git ls-files failed: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let files = names.split_terminator('\0').map(PathBuf::from);
    Ok(files.filter(|file| is_script(file)).collect())
}

fn is_script(file: &Path) -> bool {
    let mut start = [0; 64];
    let read = std::fs::File::open(workspace::root().join(file))
        .and_then(|mut file| file.read(&mut start))
        .unwrap_or_default();
    let start = String::from_utf8_lossy(&start[..read]);
    let line = start.lines().next().unwrap_or_default();
    let Some(interpreter) = line.strip_prefix("#!") else {
        return false;
    };
    let program = interpreter.split([' ', '/']).rfind(|word| !word.is_empty());
    program.is_some_and(|program| SHELLS.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installer_and_the_ci_script_are_found_and_a_rust_file_is_not() {
        let scripts = scripts().expect("git lists the files");
        for name in ["runtimeclass/installer/preopen-node", ".ci/run"] {
            assert!(scripts.contains(&name.into()), "{scripts:?}");
        }
        assert!(!scripts.contains(&"xtask/src/main.rs".into()));
    }
}
