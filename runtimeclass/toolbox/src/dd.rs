//! `dd`: copies blocks of bytes. (The `dd` of uutils 0.12 reports its progress from a thread. WASI 0.2 has no threads.)

#[cfg(test)]
mod tests;

use crate::report::{self, Report};
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::time::Instant;

const HELP: &str = "\
Usage: dd [OPERAND]...
Copy blocks of bytes.

  if=FILE  of=FILE        read and write these files instead of the standard streams
  bs=N  ibs=N  obs=N      block size in bytes (default 512)
  count=N                 copy at most N blocks
  skip=N  seek=N          skip N blocks of the input, of the output
  conv=notrunc,nocreat,excl,sync,fsync,fdatasync
  iflag=fullblock         read until a block is full
  status=none             print no statistics

N may end in c (1), w (2), b (512), k or K (1024), M, G, kB (1000), MB, GB; 2x3 is 6.
";
/// The largest block. The memory of a component is at most 4 GiB.
const MAX_BLOCK: u64 = 1 << 30;

/// The operands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Operands {
    input: Option<String>,
    output: Option<String>,
    /// The size given for both blocks. If it is set, each input block is written as one output block.
    both: Option<usize>,
    input_block: Option<usize>,
    output_block: Option<usize>,
    count: Option<u64>,
    skip: u64,
    seek: u64,
    keep_length: bool,
    must_exist: bool,
    must_not_exist: bool,
    pad: bool,
    sync: bool,
    full_blocks: bool,
    quiet: bool,
    help: bool,
}

/// The number of whole and partial blocks, read and written, and of bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    read: [u64; 2],
    written: [u64; 2],
    bytes: u64,
}

/// Runs dd with these arguments.
pub(crate) fn main(arguments: Vec<OsString>) -> i32 {
    let mut lines = std::io::stderr().lock();
    let mut report = Report::new("dd", &mut lines);
    let words: Vec<_> = arguments[1..]
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let operands = match parse(words.iter().map(|word| &**word)) {
        Ok(operands) => operands,
        Err(wrong) => {
            report.error(wrong);
            return 1;
        }
    };
    if operands.help {
        return i32::from(std::io::stdout().write_all(HELP.as_bytes()).is_err());
    }
    let start = Instant::now();
    let mut totals = Totals::default();
    if let Err(wrong) = run(&operands, &mut totals) {
        report.error(wrong);
    }
    if !operands.quiet {
        let [whole, partial] = totals.read;
        report.plain(format_args!("{whole}+{partial} records in"));
        let [whole, partial] = totals.written;
        report.plain(format_args!("{whole}+{partial} records out"));
        let (bytes, seconds) = (totals.bytes, start.elapsed().as_secs_f64());
        let rate = bytes as f64 / 1e6 / seconds.max(1e-9);
        report.plain(format_args!(
            "{bytes} bytes copied, {seconds:.6} s, {rate:.1} MB/s"
        ));
    }
    i32::from(report.failed())
}

fn parse<'a>(words: impl Iterator<Item = &'a str>) -> std::result::Result<Operands, String> {
    let mut operands = Operands::default();
    for word in words {
        if word == "--help" {
            operands.help = true;
            continue;
        }
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!("unrecognized operand '{word}'"));
        };
        match name {
            "if" => operands.input = Some(value.into()),
            "of" => operands.output = Some(value.into()),
            "bs" => operands.both = Some(block(value)?),
            "ibs" => operands.input_block = Some(block(value)?),
            "obs" => operands.output_block = Some(block(value)?),
            "count" => operands.count = Some(number(value)?),
            "skip" | "iseek" => operands.skip = number(value)?,
            "seek" | "oseek" => operands.seek = number(value)?,
            "status" => operands.quiet = value == "none",
            "conv" | "iflag" | "oflag" => {
                for flag in value.split(',') {
                    match (name, flag) {
                        ("conv", "notrunc") => operands.keep_length = true,
                        ("conv", "nocreat") => operands.must_exist = true,
                        ("conv", "excl") => operands.must_not_exist = true,
                        ("conv", "sync") => operands.pad = true,
                        ("conv", "fsync" | "fdatasync") => operands.sync = true,
                        ("iflag", "fullblock") => operands.full_blocks = true,
                        _ => return Err(format!("cannot do {name}={flag} in WebAssembly")),
                    }
                }
            }
            _ => return Err(format!("unrecognized operand '{word}'")),
        }
    }
    Ok(operands)
}

fn block(value: &str) -> std::result::Result<usize, String> {
    match number(value)? {
        bytes @ 1..=MAX_BLOCK => Ok(bytes as usize),
        _ => Err(format!("invalid number: '{value}'")),
    }
}

/// Reads `3`, `2k` or `2x512`.
fn number(value: &str) -> std::result::Result<u64, String> {
    let factor = |text: &str| {
        let digits = text.find(|c: char| !c.is_ascii_digit());
        let (digits, unit) = text.split_at(digits.unwrap_or(text.len()));
        let unit: u64 = match unit {
            "" | "c" | "B" => 1,
            "w" => 2,
            "b" => 512,
            "k" | "K" | "KiB" => 1 << 10,
            "M" | "MiB" => 1 << 20,
            "G" | "GiB" => 1 << 30,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit)
    };
    value
        .split('x')
        .try_fold(1_u64, |product, text| product.checked_mul(factor(text)?))
        .ok_or_else(|| format!("invalid number: '{value}'"))
}

fn run(operands: &Operands, totals: &mut Totals) -> std::result::Result<(), String> {
    const DEFAULT: usize = 512;
    let input_block = operands.both.or(operands.input_block).unwrap_or(DEFAULT);
    let output_block = operands.both.or(operands.output_block).unwrap_or(DEFAULT);
    let skip = operands.skip.saturating_mul(input_block as u64);
    let seek = operands.seek.saturating_mul(output_block as u64);
    let failed = |what: &str, name: &Option<String>, error: std::io::Error| {
        let name = name.as_deref().unwrap_or("the standard stream");
        format!("{what} '{name}': {}", report::reason(&error))
    };
    let mut input: Box<dyn Read> = match &operands.input {
        Some(path) => Box::new(
            open_input(path, skip)
                .map_err(|error| failed("failed to open", &operands.input, error))?,
        ),
        None => {
            let mut input = std::io::stdin().lock();
            std::io::copy(
                &mut Read::by_ref(&mut input).take(skip),
                &mut std::io::sink(),
            )
            .map_err(|error| failed("cannot skip in", &None, error))?;
            Box::new(input)
        }
    };
    let file = match &operands.output {
        Some(path) => Some(
            open_output(path, operands, seek)
                .map_err(|error| failed("failed to open", &operands.output, error))?,
        ),
        None if seek > 0 => return Err("'standard output': cannot seek".into()),
        None => None,
    };
    let mut writer = Blocks {
        // Without `bs` the output is collected into blocks of its own size.
        size: (operands.both.is_none()).then_some(output_block),
        whole: output_block,
        waiting: Vec::new(),
        totals,
    };
    let mut standard = std::io::stdout().lock();
    let output: &mut dyn Write = match &file {
        Some(file) => &mut &*file,
        None => &mut standard,
    };
    let mut buffer = vec![0; input_block];
    let mut left = operands.count.unwrap_or(u64::MAX);
    while left > 0 {
        left -= 1;
        let read = read_block(&mut *input, &mut buffer, operands.full_blocks)
            .map_err(|error| failed("error reading", &operands.input, error))?;
        if read == 0 {
            break;
        }
        writer.totals.read[usize::from(read < input_block)] += 1;
        let mut length = read;
        if operands.pad {
            buffer[read..].fill(0);
            length = input_block;
        }
        writer
            .write(output, &buffer[..length])
            .map_err(|error| failed("error writing", &operands.output, error))?;
    }
    writer
        .finish(output)
        .and_then(|()| output.flush())
        .and_then(|()| match &file {
            Some(file) if operands.sync => file.sync_all(),
            _ => Ok(()),
        })
        .map_err(|error| failed("error writing", &operands.output, error))
}

fn open_input(path: &str, skip: u64) -> Result<File> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    file.seek(SeekFrom::Start(skip))?;
    Ok(file)
}

/// Opens the output and truncates it where writing starts, unless `conv=notrunc`.
fn open_output(path: &str, operands: &Operands, seek: u64) -> Result<File> {
    let mut options = File::options();
    options.write(true);
    if operands.must_not_exist {
        options.create_new(true);
    } else if !operands.must_exist {
        options.create(true).truncate(false);
    }
    let mut file = options.open(path)?;
    if !operands.keep_length {
        file.set_len(seek)?;
    }
    file.seek(SeekFrom::Start(seek))?;
    Ok(file)
}

/// Reads once, or with `full` until the block is full.
fn read_block(input: &mut dyn Read, buffer: &mut [u8], full: bool) -> Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match input.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if !full {
            break;
        }
    }
    Ok(read)
}

/// A writer of blocks of one size, or of blocks as they come.
struct Blocks<'a> {
    size: Option<usize>,
    /// The size of a whole block, for the statistics.
    whole: usize,
    waiting: Vec<u8>,
    totals: &'a mut Totals,
}

impl Blocks<'_> {
    fn write(&mut self, output: &mut dyn Write, bytes: &[u8]) -> Result<()> {
        let Some(size) = self.size else {
            return self.put(output, bytes);
        };
        self.waiting.extend_from_slice(bytes);
        let waiting = std::mem::take(&mut self.waiting);
        let mut blocks = waiting.chunks_exact(size);
        for block in &mut blocks {
            self.put(output, block)?;
        }
        self.waiting = blocks.remainder().to_vec();
        Ok(())
    }

    fn finish(&mut self, output: &mut dyn Write) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        self.put(output, &waiting)
    }

    fn put(&mut self, output: &mut dyn Write, block: &[u8]) -> Result<()> {
        output.write_all(block)?;
        self.totals.written[usize::from(block.len() < self.whole)] += 1;
        self.totals.bytes += block.len() as u64;
        Ok(())
    }
}
