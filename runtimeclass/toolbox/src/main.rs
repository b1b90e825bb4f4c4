//! The toolbox: the programs of a container that has none. A container that serves a component holds the component and
//! its files, so `kubectl exec` finds nothing to run there. The shim then runs this: one WASI command that is
//! whichever tool its first argument names.
//!
//! Most tools are those of uutils, as [`tools`] lists them. WASI has neither owners nor modes of files nor processes,
//! and what needs those is missing or replaced: [`dd`], [`mod@env`], [`help`], [`stat`] and [`tar`] are the toolbox's own.
//!
//! - [`tools`]: finds a tool by its name
//! - [`dd`], [`mod@env`], [`help`], [`stat`], [`tar`]: the own tools
//! - [`exit`]: delivers exit codes, which plain WASI 0.2 reduces to success and failure
//! - [`report`]: error lines in the form of GNU's tools
//! - [`time`]: dates in UTC
//! - `wasi`: bindings
//!
//! A native build has the own tools only; it exists for their tests.

mod dd;
mod env;
mod exit;
mod help;
mod report;
mod stat;
mod tar;
mod time;
mod tools;
#[cfg(target_family = "wasm")]
mod wasi;

use std::ffi::OsString;
use std::path::Path;

/// The name by which the toolbox takes the tool from its next argument.
const TOOLBOX: &str = "toolbox";
/// The exit code of a shell whose command is not found.
const NOT_FOUND: i32 = 127;
/// The exit code of a tool that panicked.
const PANICKED: i32 = 125;

/// Runs the tool that the arguments name and returns its exit code.
fn run(mut arguments: Vec<OsString>) -> i32 {
    let mut name = base_name(&arguments);
    if name == TOOLBOX && arguments.len() > 1 {
        arguments.remove(0);
        name = base_name(&arguments);
        tools::name_is_second();
    }
    match tools::find(&name) {
        Some(tool) => tool(arguments),
        None => {
            eprintln!("{name}: no such tool: run \"help\" for the tools there are");
            NOT_FOUND
        }
    }
}

/// Returns the last part of the first argument.
fn base_name(arguments: &[OsString]) -> String {
    let name = arguments
        .first()
        .and_then(|path| Path::new(path).file_name());
    name.map_or(TOOLBOX.into(), |name| name.to_string_lossy().into_owned())
}

/// Enters the working directory that the host names: the C library of this target starts in `/`.
fn enter_directory() {
    #[cfg(target_family = "wasm")]
    if let Some(directory) = wasi::initial_cwd() {
        // Otherwise relative paths are what the host has given the name `.`.
        let _ = std::env::set_current_dir(directory);
    }
}

/// Makes a panic an error line and an exit code instead of a trap with its backtrace: where a tool of uutils reaches
/// what WASI has not, it panics.
fn report_panics(name: String) {
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("internal error");
        eprintln!("{name}: not possible in WebAssembly: {message}");
        exit::with(PANICKED)
    }));
}

fn main() {
    enter_directory();
    let arguments: Vec<_> = std::env::args_os().collect();
    report_panics(base_name(&arguments));
    exit::with(run(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn a_tool_is_found_by_the_end_of_its_path() {
        assert_eq!(run(arguments(&["/usr/bin/help"])), 0);
        assert_eq!(run(arguments(&["toolbox", "/bin/help"])), 0);
        assert_eq!(run(arguments(&["env", "cat"])), env::CANNOT_RUN);
    }

    #[test]
    fn an_unknown_tool_is_not_found() {
        for words in [&["sh"][..], &["toolbox", "sh"], &["toolbox"], &[]] {
            assert_eq!(run(arguments(words)), NOT_FOUND, "{words:?}");
        }
    }
}
