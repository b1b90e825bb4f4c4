//! `env`: prints the environment with changes. GNU's `env` can also run a command; WASI has no processes, so a command is
//! refused. (The `env` of uutils 0.12 does not compile for WASI 0.2.)

use crate::report::{self, Report};
use std::ffi::{OsStr, OsString};
use std::io::Write;

/// The exit code for a command that exists and cannot be run.
pub(crate) const CANNOT_RUN: i32 = 126;
/// The exit code for env's own failures, as in GNU's.
const FAILED: i32 = 125;

const HELP: &str = "\
Usage: env [-i] [-u NAME]... [-0] [NAME=VALUE]...
Print the environment.

  -i, --ignore-environment  start with an empty environment
  -u, --unset=NAME          remove a variable
  -0, --null                end each line with NUL instead of a newline

env cannot run a command: WebAssembly has no processes.
";

type Variables = Vec<(OsString, OsString)>;

/// Runs env with these arguments.
pub(crate) fn main(arguments: Vec<OsString>) -> i32 {
    let variables = std::env::vars_os().collect();
    run(
        &arguments[1..],
        variables,
        &mut std::io::stdout().lock(),
        &mut Report::new("env", &mut std::io::stderr().lock()),
    )
}

fn run(
    arguments: &[OsString],
    mut variables: Variables,
    output: &mut dyn Write,
    report: &mut Report<'_>,
) -> i32 {
    let mut end = '\n';
    let mut words = arguments.iter();
    let mut options = true;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        match &*text {
            "--" if options => options = false,
            "--help" if options => return written(output.write_all(HELP.as_bytes()), report),
            "-" | "-i" | "--ignore-environment" if options => variables.clear(),
            "-0" | "--null" if options => end = '\0',
            "-u" | "--unset" if options => match words.next() {
                Some(name) => unset(&mut variables, name),
                None => {
                    report.error(format_args!("option '{text}' requires an argument"));
                    return FAILED;
                }
            },
            _ if options && text.starts_with("--unset=") => {
                unset(&mut variables, OsStr::new(&text["--unset=".len()..]));
            }
            _ if options && text.starts_with("-u") => {
                unset(&mut variables, OsStr::new(&text[2..]));
            }
            _ if options && text.starts_with('-') => {
                report.error(format_args!("unrecognized option '{text}'"));
                return FAILED;
            }
            _ => match text.split_once('=') {
                Some((name, value)) => {
                    options = false;
                    unset(&mut variables, OsStr::new(name));
                    variables.push((name.into(), value.into()));
                }
                None => {
                    report.error(format_args!(
                        "'{text}': cannot run a command: WebAssembly has no processes"
                    ));
                    return CANNOT_RUN;
                }
            },
        }
    }
    let lines: String = variables
        .iter()
        .map(|(name, value)| {
            format!(
                "{}={}{end}",
                name.to_string_lossy(),
                value.to_string_lossy()
            )
        })
        .collect();
    written(output.write_all(lines.as_bytes()), report)
}

fn unset(variables: &mut Variables, name: &OsStr) {
    variables.retain(|(other, _)| other != name);
}

fn written(result: std::io::Result<()>, report: &mut Report<'_>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            report.error(format_args!("write error: {}", report::reason(&error)));
            FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the exit code, the output and the error lines.
    fn env(words: &[&str]) -> (i32, String, String) {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let variables = vec![("A".into(), "1".into()), ("B".into(), "2=3".into())];
        let (mut output, mut lines) = (Vec::new(), Vec::new());
        let code = run(
            &words,
            variables,
            &mut output,
            &mut Report::new("env", &mut lines),
        );
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (code, text(output), text(lines))
    }

    #[test]
    fn the_environment_is_printed_as_changed() {
        for (words, expected) in [
            (&[][..], "A=1\nB=2=3\n"),
            (&["-u", "A"], "B=2=3\n"),
            (&["-uA", "--unset=B"], ""),
            (&["-i", "C=4"], "C=4\n"),
            (&["-0", "A=", "D=x y"], "B=2=3\0A=\0D=x y\0"),
        ] {
            assert_eq!(env(words), (0, expected.into(), String::new()), "{words:?}");
        }
    }

    #[test]
    fn a_command_is_refused() {
        let (code, output, lines) = env(&["A=2", "cat", "-n"]);
        assert_eq!((code, output.as_str()), (126, ""));
        assert_eq!(
            lines,
            "env: 'cat': cannot run a command: WebAssembly has no processes\n"
        );
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert_eq!(env(&["-x"]).0, FAILED);
        assert_eq!(env(&["-u"]).0, FAILED);
    }
}
