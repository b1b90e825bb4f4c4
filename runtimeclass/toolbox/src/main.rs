//! The toolbox: programs for a container that has none. A container with a component holds only the component and its
//! files, so `kubectl exec` finds no program there. The shim then runs this WASI command, whose first argument names the
//! tool.
//!
//! Most tools are those of uutils, listed in [`tools`]. WASI has no processes, no file owners and no file modes. Tools that
//! need them are left out or are the toolbox's own.
//!
//! - [`tools`]: finds a tool by its name
//! - [`dd`], [`mod@env`], [`help`], [`stat`], [`tar`]: the toolbox's own tools
//! - [`exit`]: exit codes, which plain WASI 0.2 reduces to success and failure
//! - [`report`]: error lines in the form of GNU's tools
//! - [`time`]: dates in UTC
//! - `wasi`: bindings
//!
//! A native build has only the toolbox's own tools, for their tests.

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

/// The program name with which the next argument names the tool.
const TOOLBOX: &str = "toolbox";
/// The exit code for an unknown tool, as a shell has it for an unknown command.
const NOT_FOUND: i32 = 127;
/// The exit code after a panic.
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
            eprintln!("{name}: no such tool: run \"help\" for a list");
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

/// Changes to the working directory that the host gives. This target's C library starts in `/`.
fn enter_directory() {
    #[cfg(target_family = "wasm")]
    if let Some(directory) = wasi::initial_cwd() {
        // If this fails, relative paths are relative to the directory that the host has given the name `.`.
        let _ = std::env::set_current_dir(directory);
    }
}

/// Turns a panic into an error line and an exit code instead of a trap with a backtrace. Tools of uutils panic when they use
/// something that WASI does not have.
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
    fn a_tool_is_found_by_the_last_part_of_its_path() {
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
