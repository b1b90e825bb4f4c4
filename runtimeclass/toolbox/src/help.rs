//! `help`: lists the tools.

use crate::report;
use std::ffi::OsString;
use std::io::Write;

/// The tools, one per line: the name, then a description.
pub(crate) const TOOLS: &str = include_str!("../tools.txt");

const HEAD: &str = "\
This container serves a WebAssembly component and has no programs of its own. These tools are available:

";
const TAIL: &str = "
\"TOOL --help\" describes a tool. Tools see the container's files. There is no shell, so pipes, variables,
scripts and other programs must run on your side: kubectl exec POD -- cat FILE | wc -c
";

/// Prints the list of tools.
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
            let (name, description) = line.split_once(' ').expect("a name and a description");
            assert!(
                !name.is_empty() && !description.trim().is_empty(),
                "{line:?}"
            );
            assert!(help.contains(line), "{line:?}");
        }
    }
}
