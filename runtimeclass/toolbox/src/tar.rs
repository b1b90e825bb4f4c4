//! `tar`: packs and unpacks archives, as `kubectl cp` calls it (`tar cf - PATH`, `tar -xmf - -C DIR`) and by hand.
//!
//! The archive's format is the work of the crate `tar`. Its own walk over directories and its own unpacking need what
//! WASI has not (modes, owners, canonical paths) and panic there, so both are done here.
//!
//! - [`options`]: the command line, in both of its styles
//! - [`mod@create`]: walks and packs
//! - [`mod@extract`]: lists and unpacks

mod create;
mod extract;
mod options;
#[cfg(test)]
mod tests;

use crate::report::{self, Report};
use options::{Mode, Options, Parsed};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

/// The exit code after an error.
const FAILED: i32 = 2;
/// The exit code of a wrong command line.
const USAGE: i32 = 64;

/// Runs tar on the standard streams.
pub(crate) fn main(arguments: Vec<OsString>) -> i32 {
    let mut streams = Streams {
        input: &mut std::io::stdin().lock(),
        output: &mut std::io::stdout().lock(),
    };
    let mut errors = std::io::stderr().lock();
    run(
        &arguments[1..],
        &mut streams,
        &mut Report::new("tar", &mut errors),
    )
}

/// The standard streams.
struct Streams<'a> {
    input: &'a mut dyn Read,
    output: &'a mut dyn Write,
}

fn run(arguments: &[OsString], streams: &mut Streams<'_>, report: &mut Report<'_>) -> i32 {
    let options = match options::parse(arguments) {
        Ok(Parsed::Run(options)) => options,
        Ok(Parsed::Print(text)) => {
            return match streams.output.write_all(text.as_bytes()) {
                Ok(()) => 0,
                Err(_) => FAILED,
            };
        }
        Err(wrong) => {
            report.error(wrong);
            report.note("run \"tar --help\" for what this tar can do");
            return USAGE;
        }
    };
    let done = match options.mode {
        Mode::Create => create(&options, streams, report),
        Mode::Extract | Mode::List => read(&options, streams, report),
    };
    if let Err(error) = done {
        report.error(error);
        report.note("Error is not recoverable: exiting now");
        return FAILED;
    }
    if report.failed() {
        report.note("Exiting with failure status due to previous errors");
        return FAILED;
    }
    0
}

/// Creates the archive in its file or on standard output. An error ends the run; one of a member is a line of the
/// report.
fn create(
    options: &Options,
    streams: &mut Streams<'_>,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let Some(path) = &options.archive else {
        return create::archive(options, &mut *streams.output, report);
    };
    let file = File::create(path)
        .map_err(|error| format!("{}: Cannot open: {}", path.display(), reason(&error)))?;
    create::archive(options, &mut BufWriter::new(file), report)
}

/// The same for an archive that exists.
fn read(
    options: &Options,
    streams: &mut Streams<'_>,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let Some(path) = &options.archive else {
        let mut input = BufReader::new(&mut *streams.input);
        return extract::archive(options, &mut input, streams.output, report);
    };
    let file = File::open(path)
        .map_err(|error| format!("{}: Cannot open: {}", path.display(), reason(&error)))?;
    extract::archive(options, &mut BufReader::new(file), streams.output, report)
}

fn reason(error: &std::io::Error) -> String {
    report::reason(error)
}
