//! What carries the shim to a node: a tar.gz with nothing else in it, named for its platform, and its SHA-256 beside it.
//! The installer's image holds the same two files, so that there is one thing to check. And what the shim needs there,
//! read from itself: whoever packs a program should know where it can run.

use crate::blob::sha256;
use crate::file::{self, Archive, Attributes};
use crate::{Platform, SourceDate};
use anyhow::{Context, Result, bail};
use flate2::{Compression, GzBuilder};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, FileKind};
use std::io::Write;
use std::path::Path;

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
    /// When it cannot be archived.
    pub fn pack(shim: &[u8], version: &str, platform: Platform, date: SourceDate) -> Result<Self> {
        let mut tar = Archive::new();
        tar.file(SHIM, Attributes::of_root(0o755, date), shim)?;
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::best());
        gzip.write_all(&tar.finish()?)?;
        let platform = platform.to_string().replace('/', "-");
        Ok(Self {
            name: format!("containerd-shim-preopen-{version}-{platform}.tar.gz"),
            archive: gzip.finish()?,
        })
    }

    /// The archive and the file with its checksum, by their names.
    #[must_use]
    pub fn files(&self) -> [(String, Vec<u8>); 2] {
        let line = format!("{}  {}\n", sha256(&self.archive).digest(), self.name);
        [
            (self.name.clone(), self.archive.clone()),
            (format!("{}.sha256", self.name), line.into_bytes()),
        ]
    }

    /// Writes both.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        self.files()
            .iter()
            .try_for_each(|(name, bytes)| file::replace(&directory.join(name), bytes))
    }
}

/// What a program needs of the machine that it runs on.
#[derive(Debug, PartialEq, Eq)]
pub struct Needs {
    /// Its shared libraries.
    pub libraries: Vec<String>,
    /// The oldest glibc that has all it calls, as its major and minor number; nothing for a static program.
    pub glibc: Option<(u32, u32)>,
}

impl Needs {
    /// Reads them from a program.
    ///
    /// # Errors
    /// When it is not an ELF file of 64 bits.
    pub fn of(program: &[u8]) -> Result<Self> {
        if FileKind::parse(program).ok() != Some(FileKind::Elf64) {
            bail!("not an ELF file of 64 bits");
        }
        read(program).context("a damaged ELF file")
    }
}

fn read(program: &[u8]) -> Result<Needs> {
    let header = FileHeader64::<Endianness>::parse(program)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, program)?;
    let mut needs = Needs {
        libraries: Vec::new(),
        glibc: None,
    };
    for section in sections.iter() {
        if let Some((entries, link)) = section.dynamic(endian, program)? {
            let strings = sections.strings(endian, program, link)?;
            for entry in entries {
                if entry.d_tag.get(endian) == object::elf::DT_NEEDED {
                    let offset = u32::try_from(entry.d_val.get(endian))?;
                    let name = strings
                        .get(offset)
                        .map_err(|()| anyhow::anyhow!("a library has no name"))?;
                    needs.libraries.push(String::from_utf8_lossy(name).into());
                }
            }
        }
        if let Some((mut libraries, link)) = section.gnu_verneed(endian, program)? {
            let strings = sections.strings(endian, program, link)?;
            while let Some((_, mut versions)) = libraries.next()? {
                while let Some(version) = versions.next()? {
                    let name = String::from_utf8_lossy(version.name(endian, strings)?);
                    needs.glibc = needs.glibc.max(glibc(&name));
                }
            }
        }
    }
    Ok(needs)
}

/// `GLIBC_2.34` as numbers; nothing for the versions of other libraries.
fn glibc(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("GLIBC_")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_the_same_whenever_it_is_packed_and_bears_its_checksum() {
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
        let expected = format!("{}  {name}\n", sha256(&archive).digest());
        assert_eq!(String::from_utf8_lossy(&checksum), expected);
        assert_eq!(pack()[0].1, archive);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_programs_needs_are_read_from_itself() {
        let program = std::env::current_exe().expect("this test is a program");
        let program = std::fs::read(program).expect("it can be read");
        let needs = Needs::of(&program).expect("it is an ELF file");
        if cfg!(target_env = "gnu") && !cfg!(target_feature = "crt-static") {
            assert!(
                needs.libraries.contains(&"libc.so.6".to_owned()),
                "{needs:?}"
            );
            assert!(needs.glibc > Some((2, 2)), "{needs:?}");
        }
    }

    #[test]
    fn the_newest_version_counts_by_its_numbers() {
        assert!(glibc("GLIBC_2.34") > glibc("GLIBC_2.4"));
        assert_eq!(glibc("GCC_3.0"), None);
        assert_eq!(glibc("GLIBC_PRIVATE"), None);
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(Needs::of(b"#!/bin/sh\n").is_err());
        assert!(Needs::of(b"\x7fELF\x02\x01\x01").is_err());
    }
}
