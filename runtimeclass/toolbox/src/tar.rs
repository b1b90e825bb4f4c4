//! `tar`: packs and unpacks archives, for `kubectl cp` (`tar cf - PATH`, `tar -xmf - -C DIR`) and by hand.
//!
//! The crate `tar` reads and writes the archive's format. It cannot walk directories or unpack here: both use modes, owners
//! and canonical paths, which WASI does not have, and panic. So both are done here.
//!
//! - [`options`]: the command line, with and without dashes
//! - [`mod@create`]: packs files
//! - [`mod@extract`]: lists and unpacks

mod create;
mod extract;
mod options;
#[cfg(test)]
mod tests;

use crate::report::{self, Report};
use options::{Operation, Options, Parsed};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// The exit code after an error.
const FAILED: i32 = 2;
/// The exit code for an invalid command line.
const USAGE: i32 = 64;

/// Runs tar with these arguments on the standard streams.
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
            report.note("run \"tar --help\" for the supported options");
            return USAGE;
        }
    };
    let done = match options.operation {
        Operation::Create => create(&options, streams, report),
        Operation::Extract | Operation::List => read(&options, streams, report),
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

/// Writes the archive to its file or to standard output. Errors of single members are only reported.
fn create(
    options: &Options,
    streams: &mut Streams<'_>,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let Some(path) = &options.archive else {
        return create::archive(options, &mut *streams.output, report);
    };
    let file = File::create(path).map_err(|error| cannot_open(path, &error))?;
    create::archive(options, &mut BufWriter::new(file), report)
}

/// Lists or unpacks the archive in its file or on standard input.
fn read(
    options: &Options,
    streams: &mut Streams<'_>,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let Some(path) = &options.archive else {
        let mut input = BufReader::new(&mut *streams.input);
        return extract::archive(options, &mut input, streams.output, report);
    };
    let file = File::open(path).map_err(|error| cannot_open(path, &error))?;
    extract::archive(options, &mut BufReader::new(file), streams.output, report)
}

fn cannot_open(path: &Path, error: &std::io::Error) -> String {
    format!("{}: Cannot open: {}", path.display(), reason(error))
}

fn reason(error: &std::io::Error) -> String {
    report::reason(error)
}
