//! Tar archives with no trace of who wrote them, and their gzip.

use crate::SourceDate;
use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use std::io::Write;

/// What a tar header states about a file besides its name and size.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The owner.
    pub uid: u64,
    /// The owner's group.
    pub gid: u64,
    /// The permissions, with the set-user-ID, set-group-ID and sticky bits.
    pub mode: u32,
    /// The time of the last change.
    pub date: SourceDate,
}

impl Attributes {
    /// Returns those of a file or directory that root owns.
    #[must_use]
    pub fn of_root(mode: u32, date: SourceDate) -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode,
            date,
        }
    }
}

/// A tar archive in memory.
pub struct Archive(tar::Builder<Vec<u8>>);

impl Default for Archive {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Archive {
    /// Returns an empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory. Its name has no slash at the end.
    ///
    /// # Errors
    /// If the name cannot be stored in a tar header.
    pub fn directory(&mut self, name: &str, attributes: Attributes) -> Result<()> {
        let mut header = header(attributes);
        header.set_entry_type(tar::EntryType::Directory);
        self.append(header, &format!("{name}/"), &[])
    }

    /// Adds a regular file.
    ///
    /// # Errors
    /// If the name cannot be stored in a tar header.
    pub fn file(&mut self, name: &str, attributes: Attributes, bytes: &[u8]) -> Result<()> {
        let mut header = header(attributes);
        header.set_entry_type(tar::EntryType::Regular);
        self.append(header, name, bytes)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// If the name or the target cannot be stored in a tar header.
    pub fn symlink(&mut self, name: &str, attributes: Attributes, target: &str) -> Result<()> {
        let mut header = header(attributes);
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0
            .append_link(&mut header, name, target)
            .with_context(|| format!("cannot archive /{name}"))
    }

    fn append(&mut self, mut header: tar::Header, name: &str, bytes: &[u8]) -> Result<()> {
        header.set_size(bytes.len() as u64);
        self.0
            .append_data(&mut header, name, bytes)
            .with_context(|| format!("cannot archive /{name}"))
    }

    /// Returns the archive's bytes.
    ///
    /// # Errors
    /// Never: a vector accepts every write.
    pub fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

/// Returns a header that names no user, group or device: a new one is all zeros.
fn header(attributes: Attributes) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(attributes.uid);
    header.set_gid(attributes.gid);
    header.set_mode(attributes.mode);
    header.set_mtime(attributes.date.seconds());
    header
}

/// Returns the gzip of these bytes, with no name, time or operating system in its header.
///
/// # Errors
/// Never: a vector accepts every write.
pub fn gzip(bytes: &[u8], compression: Compression) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), compression);
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}
