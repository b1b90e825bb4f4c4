//! The archive that carries the shim to a node: a tar.gz that holds nothing else, named after its platform, with its SHA-256
//! in a file beside it. The installer's image holds the same two files, so there is one checksum to compare.
//!
//! - this file: the archive
//! - `needs`: the libraries that a program needs on the node, read from the program
//! - `main.rs`: `preopen-dist`, which writes the archive and the installer

mod needs;

use anyhow::Result;
use oci_writer::{Archive, Attributes, Compression, Platform, SourceDate};
use std::path::Path;
use visits_support::files;

pub use needs::Needs;

/// The program's name, by which containerd and runtime-class-manager find it.
const SHIM: &str = "containerd-shim-preopen-v1";

/// The shim, packed.
#[derive(Debug)]
pub struct Release {
    name: String,
    archive: Vec<u8>,
}

impl Release {
    /// Packs this program. The same program, version and date give the same bytes.
    ///
    /// # Errors
    /// If it cannot be archived.
    pub fn pack(shim: &[u8], version: &str, platform: Platform, date: SourceDate) -> Result<Self> {
        let mut tar = Archive::new();
        tar.file(SHIM, Attributes::of_root(0o755, date), shim)?;
        let platform = platform.to_string().replace('/', "-");
        Ok(Self {
            name: format!("containerd-shim-preopen-{version}-{platform}.tar.gz"),
            archive: oci_writer::gzip(&tar.finish()?, Compression::best())?,
        })
    }

    /// Returns the archive and the file with its checksum, each with its name.
    #[must_use]
    pub fn files(&self) -> [(String, Vec<u8>); 2] {
        let sum = oci_writer::sha256_hex(&self.archive);
        let line = format!("{sum}  {}\n", self.name);
        [
            (self.name.clone(), self.archive.clone()),
            (format!("{}.sha256", self.name), line.into_bytes()),
        ]
    }

    /// Writes both.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        self.files()
            .iter()
            .try_for_each(|(name, bytes)| files::replace(&directory.join(name), bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_gives_the_same_archive_with_its_checksum() {
        let pack = || {
            Release::pack(
                b"program",
                "1.2.3",
                Platform::LinuxArm64,
                SourceDate::default(),
            )
            .expect("it is small")
            .files()
        };
        let [(name, archive), (checksum_name, checksum)] = pack();
        assert_eq!(name, "containerd-shim-preopen-1.2.3-linux-arm64.tar.gz");
        assert_eq!(checksum_name, format!("{name}.sha256"));
        let expected = format!("{}  {name}\n", oci_writer::sha256_hex(&archive));
        assert_eq!(String::from_utf8_lossy(&checksum), expected);
        assert_eq!(pack()[0].1, archive);
    }
}
