//! The libraries that a program needs on the machine that runs it, read from the program.

use anyhow::{Context, Result, bail};
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, FileKind};

/// The libraries that a program needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Needs {
    /// The shared libraries.
    pub libraries: Vec<String>,
    /// The major and minor version of the oldest glibc with all functions that it calls; `None` for a static program.
    pub glibc: Option<(u32, u32)>,
}

impl Needs {
    /// Reads the libraries from a program.
    ///
    /// # Errors
    /// If the program is not a 64-bit ELF file, or if the file is damaged.
    pub fn of(program: &[u8]) -> Result<Self> {
        if FileKind::parse(program).ok() != Some(FileKind::Elf64) {
            bail!("not a 64-bit ELF file");
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

/// Parses a version such as `GLIBC_2.34`. Versions of other libraries are `None`.
fn glibc(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("GLIBC_")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_programs_libraries_are_read_from_it() {
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
    fn versions_are_compared_as_numbers() {
        assert!(glibc("GLIBC_2.34") > glibc("GLIBC_2.4"));
        assert_eq!(glibc("GCC_3.0"), None);
        assert_eq!(glibc("GLIBC_PRIVATE"), None);
    }

    #[test]
    fn a_file_that_is_not_a_program_is_an_error() {
        assert!(Needs::of(b"#!/bin/sh\n").is_err());
        assert!(Needs::of(b"\x7fELF\x02\x01\x01").is_err());
    }
}
