//! Files that are replaced as one, and tar archives with no trace of who wrote them.

use crate::SourceDate;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;

/// Writes a file so that a reader sees the old one or the new one, whole, never a part.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        // A path of one name has "" above it, which is no directory.
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        // Not for the owner alone, as temporary files are: whoever may read the directory may read the image.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        std::io::Result::Ok(())
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// What a tar header says of a file, but for its name and size.
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mode: u32,
    pub(crate) date: SourceDate,
}

impl Attributes {
    /// Those of a file or directory that root owns.
    pub(crate) fn of_root(mode: u32, date: SourceDate) -> Self {
        let (uid, gid) = (0, 0);
        Self {
            uid,
            gid,
            mode,
            date,
        }
    }
}

/// A tar archive in memory.
pub(crate) struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds a directory; its name has no slash at the end.
    pub(crate) fn directory(&mut self, name: &str, attributes: Attributes) -> Result<()> {
        let mut header = header(attributes);
        header.set_entry_type(tar::EntryType::Directory);
        self.append(header, &format!("{name}/"), &[])
    }

    /// Adds a regular file.
    pub(crate) fn file(&mut self, name: &str, attributes: Attributes, bytes: &[u8]) -> Result<()> {
        let mut header = header(attributes);
        header.set_entry_type(tar::EntryType::Regular);
        self.append(header, name, bytes)
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(
        &mut self,
        name: &str,
        attributes: Attributes,
        target: &str,
    ) -> Result<()> {
        let mut header = header(attributes);
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0
            .append_link(&mut header, name, target)
            .with_context(|| format!("archive /{name}"))
    }

    fn append(&mut self, mut header: tar::Header, name: &str, bytes: &[u8]) -> Result<()> {
        header.set_size(bytes.len() as u64);
        self.0
            .append_data(&mut header, name, bytes)
            .with_context(|| format!("archive /{name}"))
    }

    /// The archive's bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

/// A new header is all zeros, so it names no user, no group and no device.
fn header(attributes: Attributes) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(attributes.uid);
    header.set_gid(attributes.gid);
    header.set_mode(attributes.mode);
    header.set_mtime(attributes.date.seconds());
    header
}
