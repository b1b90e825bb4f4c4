//! `cargo xtask manifests`: has the manifests judged by linters that others wrote. Every check that fails needs an exception
//! with a reason, and every exception must apply to something.
//!
//! - [`judges`]: the linters, and what they find
//! - [`exceptions`]: the exceptions of tests/manifests/judges/exceptions.toml

mod exceptions;
mod judges;

use crate::{command, go, workspace};
use anyhow::{Context, Result};
use exceptions::Exceptions;
use judges::Judges;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What `kubectl apply -k` applies, beside the overlays.
const DIRECTORIES: [&str; 3] = ["k8s", "runtimeclass/installer", "runtimeclass/uninstall"];

/// The directory of the overlays.
const OVERLAYS: &str = "k8s/overlays";

/// Judges all manifests. The exit code is 0 only if nothing is left without a reason.
pub(crate) fn run() -> Result<ExitCode> {
    let kubectl = go::KUBERNETES.build()?.join("kubectl");
    let judges = Judges::prepare()?;
    let mut exceptions = Exceptions::read()?;
    let rendered = tempfile::tempdir().context("cannot create a directory for manifests")?;
    let mut unexplained = 0;
    for directory in directories()? {
        // checkov reads only files with this extension.
        let file = rendered.path().join(directory.replace('/', "-") + ".yaml");
        render(&kubectl, &directory, &file)?;
        let verdict = judges.judge(&file).with_context(|| directory.clone())?;
        let (excepted, left): (Vec<_>, Vec<_>) = verdict
            .findings
            .into_iter()
            .partition(|finding| exceptions.explain(&directory, finding));
        println!(
            "{directory}: {} checks passed, {} excepted, {} failed",
            verdict.passed,
            excepted.len(),
            left.len()
        );
        for finding in &left {
            println!("    {finding}");
        }
        unexplained += left.len();
    }
    for exception in exceptions.unused() {
        println!("an exception that applies to nothing: {exception}");
        unexplained += 1;
    }
    Ok(match unexplained {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn directories() -> Result<Vec<String>> {
    let overlays = workspace::root().join(OVERLAYS);
    let entries = std::fs::read_dir(&overlays)
        .with_context(|| format!("cannot read {}", overlays.display()))?;
    let mut directories: Vec<String> = DIRECTORIES.map(str::to_owned).into();
    for entry in entries {
        let name = entry?.file_name();
        directories.push(format!("{OVERLAYS}/{}", name.to_string_lossy()));
    }
    directories.sort();
    Ok(directories)
}

/// Writes what `kubectl apply -k` would apply to a file.
fn render(kubectl: &Path, directory: &str, file: &Path) -> Result<()> {
    let mut render = Command::new(kubectl);
    render
        .arg("kustomize")
        .arg(workspace::root().join(directory))
        .arg("--output")
        .arg(file);
    command::quietly(&mut render)
}
