//! `cargo xtask up`: builds the component and the host, and then becomes the host.

use crate::{cargo, command, component, workspace};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The options of `up`.
#[derive(clap::Args)]
#[command(
    override_usage = "cargo xtask up [--persistent DIR] [HOST OPTIONS]",
    after_help = format!(
        "Options of the host, such as --listen ADDR, are passed on to it. After a first `up`, \
         target/{}/preopen --help lists them.",
        workspace::PROFILE
    )
)]
pub(crate) struct Options {
    /// `--persistent DIR` is the directory of the count (default: ./persistent of this repository). All other
    /// arguments are passed on to the host
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds what is not up to date and replaces this process with the host, so that signals reach the host.
pub(crate) fn run(options: Options) -> Result<()> {
    let (persistent, arguments) = split(options.arguments)?;
    let persistent = directory(persistent)?;
    eprintln!("==> the component: visits.wasm");
    component::run()?;
    let preopen = workspace::preopen()?;
    eprintln!("==> the host: {}", workspace::short(&preopen));
    command::run(cargo::host()?)?;
    eprintln!("==> the count is kept in {}", persistent.display());

    let mut source = OsString::from("persistent=");
    source.push(persistent);
    let error = Command::new(&preopen)
        .arg("--source")
        .arg(source)
        // Another in `arguments` wins.
        .args(["--startup-check", "/healthz"])
        .args(arguments)
        .arg(workspace::root().join("spin.toml"))
        .exec();
    Err(error).with_context(|| format!("cannot start {}", preopen.display()))
}

/// Takes `--persistent DIR` out of the host's arguments, at any position. (clap cannot do that: it takes everything after
/// the first unknown option as one argument list.)
fn split(arguments: Vec<OsString>) -> Result<(Option<PathBuf>, Vec<OsString>)> {
    let mut persistent = None;
    let mut rest = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let directory = if argument == "--persistent" {
            arguments
                .next()
                .context("--persistent needs a directory: --persistent DIR")?
        } else if let Some(directory) = value_of(&argument, "--persistent=") {
            directory.to_owned()
        } else {
            rest.push(argument);
            continue;
        };
        ensure!(!directory.is_empty(), "--persistent needs a directory");
        if persistent.replace(PathBuf::from(directory)).is_some() {
            bail!("--persistent is given twice");
        }
    }
    Ok((persistent, rest))
}

fn value_of<'a>(argument: &'a OsStr, option: &str) -> Option<&'a OsStr> {
    use std::os::unix::ffi::OsStrExt;
    let value = argument.as_bytes().strip_prefix(option.as_bytes())?;
    Some(OsStr::from_bytes(value))
}

/// Returns the directory of the count. It must exist: a count that starts at 1 because of a mistyped path would look like
/// a loss.
fn directory(given: Option<PathBuf>) -> Result<PathBuf> {
    let directory = match given {
        Some(given) => std::path::absolute(given)?,
        None => workspace::root().join("persistent"),
    };
    let shown = directory.display();
    let kind = std::fs::metadata(&directory).map_err(|error| {
        anyhow!("--persistent {shown}: {error}; to start a new count there: mkdir -p {shown}")
    })?;
    ensure!(kind.is_dir(), "--persistent {shown}: not a directory");
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_line(line: &str) -> Result<(Option<PathBuf>, Vec<OsString>)> {
        split(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn persistent_is_found_before_and_after_host_options() {
        for line in [
            "--persistent /some/dir --listen 127.0.0.1:5077 --access-log",
            "--listen 127.0.0.1:5077 --persistent /some/dir --access-log",
            "--listen 127.0.0.1:5077 --access-log --persistent=/some/dir",
        ] {
            let (persistent, rest) = split_line(line).expect("is well formed");
            assert_eq!(persistent, Some(PathBuf::from("/some/dir")), "{line}");
            assert_eq!(rest, ["--listen", "127.0.0.1:5077", "--access-log"]);
        }
    }

    #[test]
    fn persistent_without_a_directory_or_given_twice_is_an_error() {
        for line in [
            "--listen 127.0.0.1:0 --persistent",
            "--persistent=",
            "--persistent a --persistent b",
        ] {
            split_line(line).expect_err(line);
        }
    }

    #[test]
    fn a_directory_that_does_not_exist_is_an_error_that_names_it() {
        let error = directory(Some("/no/such/directory".into())).expect_err("it does not exist");
        assert!(format!("{error:#}").contains("/no/such/directory"));
    }
}
