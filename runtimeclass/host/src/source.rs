//! A component's file. Most starts need only its digest, because its code is in a cache. So the file is read in pieces, and
//! as a whole only if it must be compiled.

use crate::wasm::{COMPONENT, CORE_MODULE};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// An open file that begins like a component.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Source<'a> {
    /// Opens the file at `path`. Fails if it does not begin like a component.
    pub(crate) fn open(path: &'a Path) -> Result<Self> {
        let begin = || {
            let file = File::open(path)?;
            let mut header = Vec::new();
            (&file)
                .take(COMPONENT.len() as u64)
                .read_to_end(&mut header)?;
            Ok::<_, std::io::Error>((file, header))
        };
        let (file, header) = begin().with_context(|| unreadable(path))?;
        check(&header).with_context(|| path.display().to_string())?;
        Ok(Self { path, file })
    }

    /// Returns what `read` makes of the file's bytes.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&File) -> std::io::Result<T>) -> Result<T> {
        let mut file = &self.file;
        let made = file.rewind().and_then(|()| read(file));
        made.with_context(|| unreadable(self.path))
    }

    /// Returns all bytes of the file. They may differ from what was read before, if the file was changed meanwhile.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        self.read(|mut file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        })
    }
}

fn unreadable(path: &Path) -> String {
    format!("{}: cannot read the component", path.display())
}

fn check(header: &[u8]) -> Result<()> {
    ensure!(
        header != CORE_MODULE,
        "a core module, not a component: build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"
    );
    ensure!(header == COMPONENT, "not a WebAssembly component");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut file: &File) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn every_reader_sees_the_whole_file() -> Result<()> {
        let wasm = [COMPONENT, b"content"].concat();
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &wasm)?;
        let source = Source::open(file.path())?;
        for _ in 0..2 {
            assert_eq!(source.read(all)?, wasm);
            assert_eq!(source.bytes()?, wasm);
        }
        Ok(())
    }

    #[test]
    fn only_the_header_of_a_component_is_accepted() -> Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        for (content, error) in [
            (CORE_MODULE, "a core module"),
            (b"\0asm\x0d\0", "not a WebAssembly component"),
            (b"", "not a WebAssembly component"),
        ] {
            std::fs::write(file.path(), content)?;
            let refused = Source::open(file.path()).expect_err("not a component");
            let refused = format!("{refused:#}");
            assert!(refused.contains(error), "{refused}");
        }
        Ok(())
    }
}
