//! This machine's programs, as files for an image.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use visits_support::{command, programs};

/// Returns these programs and the libraries that they are linked with, by their paths in an image.
pub(crate) fn programs(names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for name in names {
        let Some(program) = programs::find(&[name]) else {
            bail!("{name} is not installed");
        };
        let mut list = Command::new("ldd");
        list.arg(&program);
        let libraries = command::run(list)?;
        // A line is `name => /path (address)`, or `/path (address)` for the loader. The kernel's own part has no path.
        let libraries = libraries
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
        for library in libraries {
            files.insert(library.to_owned(), read(Path::new(library))?);
        }
        files.insert(format!("/bin/{name}"), read(&program)?);
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
