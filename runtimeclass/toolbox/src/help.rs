//! `help`: lists the tools.

use crate::report;
use std::ffi::OsString;
use std::io::Write;

/// One line a tool: its name, then what it does.
pub(crate) const TOOLS: &str = include_str!("../tools.txt");

const HEAD: &str = "\
This container serves a WebAssembly component. It has no programs of its own, so these tools answer:

";
const TAIL: &str = "
\"TOOL --help\" describes one. A tool sees the container's files. There is no shell: no pipes, no variables,
no scripts and no other processes. Use those where you are: kubectl exec POD -- cat FILE | wc -c
";

/// Prints the list.
pub(crate) fn main(_arguments: Vec<OsString>) -> i32 {
    match write(&mut std::io::stdout().lock()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("help: write error: {}", report::reason(&error));
            1
        }
    }
}

fn write(output: &mut dyn Write) -> std::io::Result<()> {
    output.write_all(HEAD.as_bytes())?;
    for line in TOOLS.lines() {
        writeln!(output, "  {line}")?;
    }
    output.write_all(TAIL.as_bytes())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_described() {
        let mut help = Vec::new();
        write(&mut help).expect("a vector takes everything");
        let help = String::from_utf8(help).expect("the list is text");
        for line in TOOLS.lines() {
            let (name, what) = line.split_once(' ').expect("a name and what it does");
            assert!(!name.is_empty() && !what.trim().is_empty(), "{line:?}");
            assert!(help.contains(line), "{line:?}");
        }
    }
}
