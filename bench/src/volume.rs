//! The volume of a server, a directory below that of the server.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The file with the count.
pub(crate) const COUNT: &str = "visits.bin";

/// Returns the volume of a server whose directory this is. The name is that in the manifests of [`visits_tests`].
pub(crate) fn of(directory: &Path) -> PathBuf {
    directory.join("persistent")
}

/// Returns the count in its file, eight little-endian bytes.
pub(crate) fn count(directory: &Path) -> Result<u64> {
    let path = of(directory).join(COUNT);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("no count in {}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes
        .try_into()
        .with_context(|| format!("{} bytes instead of 8", bytes.len()))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_eight_little_endian_bytes() {
        assert_eq!(parse(&[1, 1, 0, 0, 0, 0, 0, 0]).expect("a count"), 257);
        parse(&[1]).expect_err("too short");
        parse(&[0; 9]).expect_err("too long");
    }
}
