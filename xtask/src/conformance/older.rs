//! `--older`: the suites on older versions of containerd and Kubernetes, which the shim supports as well.

use crate::go;
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::Command;
use visits_support::environment::{self, Environment};

/// The option.
const OPTION: &str = "--older";

/// Builds the older versions, and replaces this process with one that uses them, by the same variables as anybody may set.
/// Only the suite of Kubernetes needs `kubernetes`.
///
/// # Errors
/// Returns why they cannot be built, or why the process cannot be started.
pub(super) fn replace_process(kubernetes: bool) -> Result<()> {
    let mut environment = Environment::default();
    environment.set(environment::NODE_PROGRAMS, go::OLDER_NODE.build()?);
    if kubernetes {
        let programs = go::OLDER_KUBERNETES.build()?;
        environment.set(environment::KUBERNETES_PROGRAMS, &programs);
        environment.set(environment::KUBERNETES_TESTS, &programs);
    }
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut again = Command::new(&program);
    again.args(
        std::env::args_os()
            .skip(1)
            .filter(|argument| argument != OPTION),
    );
    environment.apply(&mut again);
    Err(again.exec()).with_context(|| format!("cannot start {}", program.display()))
}
