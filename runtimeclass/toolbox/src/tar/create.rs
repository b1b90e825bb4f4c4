//! Packs files into an archive.

use super::options::Options;
use super::reason;
use crate::report::Report;
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;
use tar::{Builder, EntryType, Header};

/// The longest name, in bytes, that a header holds. A longer name is a member of its own before the header.
const MAX_NAME: usize = 100;
/// The modes of members. WASI does not have those of the files.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Writes an archive of the paths in `options`. Fails if the output fails; errors of single members are only reported.
pub(super) fn archive(
    options: &Options,
    output: &mut dyn Write,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let mut packer = Packer {
        builder: Builder::new(output),
        options,
        report,
        stripped: false,
    };
    for (directory, path) in &options.paths {
        let name = packer.member_name(path);
        packer.tree(directory.join(path), name)?;
    }
    let finished = packer.builder.into_inner().and_then(Write::flush);
    finished.map_err(|error| cannot_write(&error))
}

fn cannot_write(error: &std::io::Error) -> String {
    format!("Cannot write the archive: {}", reason(error))
}

struct Packer<'a, 'r> {
    builder: Builder<&'a mut dyn Write>,
    options: &'a Options,
    report: &'a mut Report<'r>,
    /// Whether a note about stripped names was written.
    stripped: bool,
}

impl Packer<'_, '_> {
    /// Returns the name of a path in the archive, which is relative and has no `..`.
    fn member_name(&mut self, path: &str) -> String {
        let mut parts: Vec<&str> = Vec::new();
        let mut stripped = "";
        for component in Path::new(path).components() {
            match component {
                Component::Normal(part) => parts.extend(part.to_str()),
                Component::CurDir => parts.push("."),
                Component::ParentDir => {
                    parts.clear();
                    stripped = "../";
                }
                Component::RootDir | Component::Prefix(_) => stripped = "/",
            }
        }
        if !stripped.is_empty() && !self.stripped {
            self.stripped = true;
            self.report.note(format_args!(
                "Removing leading `{stripped}' from member names"
            ));
        }
        if parts.is_empty() {
            parts.push(".");
        }
        parts.join("/")
    }

    /// Packs `path` and everything below it. Without recursion, because the component's stack is small.
    fn tree(&mut self, path: PathBuf, name: String) -> Result<(), String> {
        let mut waiting = vec![(path, name)];
        while let Some((path, name)) = waiting.pop() {
            let metadata = if self.options.dereference {
                path.metadata()
            } else {
                path.symlink_metadata()
            };
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(error) => {
                    let path = path.display();
                    self.report
                        .error(format_args!("{path}: Cannot stat: {}", reason(&error)));
                    continue;
                }
            };
            if metadata.is_dir() {
                self.directory(&metadata, &name)?;
                // The last one pushed is packed first.
                for child in self.children(&path).into_iter().rev() {
                    waiting.push((path.join(&child), format!("{name}/{child}")));
                }
            } else if metadata.is_symlink() {
                self.symlink(&path, &metadata, &name)?;
            } else if metadata.is_file() {
                self.file(&path, &metadata, &name)?;
            } else {
                let path = path.display();
                self.report
                    .error(format_args!("{path}: Unknown file type; file ignored"));
            }
        }
        Ok(())
    }

    /// Returns the names in a directory, sorted.
    fn children(&mut self, path: &Path) -> Vec<String> {
        let mut names = Vec::new();
        let entries = match path.read_dir() {
            Ok(entries) => entries,
            Err(error) => {
                let path = path.display();
                self.report
                    .error(format_args!("{path}: Cannot open: {}", reason(&error)));
                return names;
            }
        };
        for entry in entries {
            match entry.map(|entry| entry.file_name().into_string()) {
                Ok(Ok(name)) => names.push(name),
                Ok(Err(name)) => {
                    let path = path.join(name);
                    let path = path.display();
                    self.report
                        .error(format_args!("{path}: the name is not UTF-8; file ignored"));
                }
                Err(error) => {
                    let path = path.display();
                    self.report
                        .error(format_args!("{path}: Cannot read: {}", reason(&error)));
                    break;
                }
            }
        }
        names.sort_unstable();
        names
    }

    fn directory(&mut self, metadata: &Metadata, name: &str) -> Result<(), String> {
        let mut header = header(EntryType::Directory, DIRECTORY_MODE, metadata);
        self.append(
            &mut header,
            &format!("{name}/"),
            None,
            &mut std::io::empty(),
        )
    }

    fn symlink(&mut self, path: &Path, metadata: &Metadata, name: &str) -> Result<(), String> {
        let target = match path.read_link() {
            Ok(target) => target.to_string_lossy().into_owned(),
            Err(error) => {
                let (path, reason) = (path.display(), reason(&error));
                self.report
                    .error(format_args!("{path}: Cannot read link: {reason}"));
                return Ok(());
            }
        };
        let mut header = header(EntryType::Symlink, 0o777, metadata);
        self.append(&mut header, name, Some(&target), &mut std::io::empty())
    }

    fn file(&mut self, path: &Path, metadata: &Metadata, name: &str) -> Result<(), String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                let (path, reason) = (path.display(), reason(&error));
                self.report
                    .error(format_args!("{path}: Cannot open: {reason}"));
                return Ok(());
            }
        };
        let mut header = header(EntryType::Regular, FILE_MODE, metadata);
        header.set_size(metadata.len());
        let mut content = Exactly {
            inner: file,
            left: metadata.len(),
            trouble: None,
        };
        self.append(&mut header, name, None, &mut content)?;
        if let Some(trouble) = content.trouble {
            let path = path.display();
            self.report
                .error(format_args!("{path}: {trouble}; padded with zeros"));
        }
        Ok(())
    }

    /// Writes a member. Sets the name itself, because the crate's functions treat a backslash as a separator on WebAssembly.
    fn append(
        &mut self,
        header: &mut Header,
        name: &str,
        target: Option<&str>,
        content: &mut dyn Read,
    ) -> Result<(), String> {
        if self.options.verbose {
            self.report.plain(name);
        }
        let written = (|| {
            if let Some(target) = target {
                self.long(EntryType::GNULongLink, target)?;
                header.set_link_name_literal(shortened(target))?;
            }
            self.long(EntryType::GNULongName, name)?;
            set_name(header, shortened(name));
            header.set_cksum();
            self.builder.append(header, content)
        })();
        written.map_err(|error| cannot_write(&error))
    }

    /// Writes a name that is too long for a header as a member of its own. Must precede the header.
    fn long(&mut self, kind: EntryType, name: &str) -> std::io::Result<()> {
        if name.len() <= MAX_NAME {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(FILE_MODE);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        // With the terminating NUL.
        header.set_size(name.len() as u64 + 1);
        set_name(&mut header, b"././@LongLink");
        header.set_cksum();
        self.builder
            .append(&header, name.as_bytes().chain(&b"\0"[..]))
    }
}

fn shortened(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(MAX_NAME)]
}

fn set_name(header: &mut Header, name: &[u8]) {
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
}

fn header(kind: EntryType, mode: u32, metadata: &Metadata) -> Header {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(since.unwrap_or_default().as_secs());
    header
}

/// A reader that gives exactly the bytes that the header promises, even if the file shrinks, grows or fails meanwhile.
/// Otherwise every later member would be unreadable.
struct Exactly<R> {
    inner: R,
    left: u64,
    trouble: Option<String>,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let buffer = &mut buffer[..most];
        let mut read = 0;
        if self.trouble.is_none() {
            read = match self.inner.read(buffer) {
                Ok(0) if most > 0 => {
                    self.trouble = Some(format!("File shrank by {} bytes", self.left));
                    0
                }
                Ok(read) => read,
                Err(error) => {
                    self.trouble = Some(format!("Read error: {}", reason(&error)));
                    0
                }
            };
        }
        if self.trouble.is_some() {
            buffer.fill(0);
            read = most;
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_while_it_is_packed_keeps_its_promised_size() {
        let content = |inner, left| Exactly {
            inner,
            left,
            trouble: None,
        };
        let mut read = Vec::new();
        let mut grown = content(&b"12345"[..], 3);
        grown.read_to_end(&mut read).expect("reading succeeds");
        assert_eq!((read.as_slice(), grown.trouble), (&b"123"[..], None));
        read.clear();
        let mut shrunk = content(&b"12"[..], 4);
        shrunk.read_to_end(&mut read).expect("reading succeeds");
        assert_eq!(read, b"12\0\0");
        assert_eq!(shrunk.trouble.as_deref(), Some("File shrank by 2 bytes"));
    }
}
