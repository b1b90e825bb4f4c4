//! Lists and unpacks archives. No member is written outside the target directory: a name with `..` is refused, and so is
//! one that leads through a symbolic link. Links are made last, so that no member passes through a link of the same archive.

use super::options::{Operation, Options};
use super::{cannot_open, reason};
use crate::report::Report;
use crate::time;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, File};
use std::io::{BufRead, ErrorKind, Read, Result as IoResult, Write};
use std::path::{Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// Lists or unpacks the archive. Fails if the archive is invalid or the output fails; errors of single members are only
/// reported.
pub(super) fn archive(
    options: &Options,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let directory = &options.directory;
    if options.operation == Operation::Extract && *directory != Path::new("") {
        fs::read_dir(directory).map_err(|error| cannot_open(directory, &error))?;
    }
    let broken = |error: std::io::Error| format!("The archive is broken: {}", reason(&error));
    if input.fill_buf().map_err(broken)?.is_empty() {
        return Err("This does not look like a tar archive: it is empty".into());
    }
    let mut unpacker = Unpacker {
        options,
        output,
        report,
        links: Vec::new(),
        directories: Vec::new(),
        found: vec![false; options.paths.len()],
        stripped: false,
    };
    let mut archive = Archive::new(&mut *input);
    for entry in archive.entries().map_err(broken)? {
        unpacker.member(&mut entry.map_err(broken)?)?;
    }
    unpacker.finish()?;
    // Read what follows the end of the archive, or its writer would fail with a broken pipe.
    std::io::copy(input, &mut std::io::sink()).map_err(broken)?;
    Ok(())
}

struct Unpacker<'a, 'r> {
    options: &'a Options,
    output: &'a mut dyn Write,
    report: &'a mut Report<'r>,
    links: Vec<Link>,
    /// Directories and their times. They are set last, because a new file changes the time of its directory.
    directories: Vec<(PathBuf, i64)>,
    /// Whether each path of the command line was found.
    found: Vec<bool>,
    /// Whether a note about stripped names was written.
    stripped: bool,
}

/// A link that is made at the end.
struct Link {
    name: String,
    parts: Vec<String>,
    target: Target,
}

enum Target {
    /// The text of a symbolic link.
    Symbolic(String),
    /// The parts of the name of another member.
    Hard(Vec<String>),
}

impl Unpacker<'_, '_> {
    /// Lists or unpacks one member.
    fn member(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), String> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let Ok(name) = String::from_utf8(entry.path_bytes().into_owned()) else {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            self.report
                .error(format_args!("{name}: the name is not UTF-8"));
            return Ok(());
        };
        if !self.is_wanted(&name) {
            return Ok(());
        }
        if self.options.verbose || self.options.operation == Operation::List {
            self.list(entry, &name)?;
        }
        if self.options.operation == Operation::List {
            return Ok(());
        }
        let done = match self.parts(&name) {
            Ok(parts) if parts.is_empty() => Ok(()),
            Ok(parts) => self.unpack(entry, &name, parts),
            Err(wrong) => Err(wrong),
        };
        if let Err(wrong) = done {
            self.report.error(format_args!("{name}: {wrong}"));
        }
        Ok(())
    }

    /// Whether the command line names this member or a directory above it, or names none.
    fn is_wanted(&mut self, name: &str) -> bool {
        let mut wanted = self.options.paths.is_empty();
        for ((_, path), found) in self.options.paths.iter().zip(&mut self.found) {
            if Path::new(name).starts_with(path) {
                wanted = true;
                *found = true;
            }
        }
        wanted
    }

    /// Prints a member's name, with `tar tv` also its metadata.
    fn list(&mut self, entry: &Entry<'_, impl Read>, name: &str) -> Result<(), String> {
        let mut line = String::new();
        let target = entry.link_name_bytes();
        if self.options.verbose && self.options.operation == Operation::List {
            let header = entry.header();
            let kind = match header.entry_type() {
                EntryType::Directory => 'd',
                EntryType::Symlink => 'l',
                EntryType::Link => 'h',
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => '-',
                _ => '?',
            };
            let mode = header.mode().unwrap_or_default();
            let modified = time::utc(modified(entry));
            let size = entry.size();
            line = format!("{kind}{} {size:>9} {modified} ", permissions(mode));
        }
        line.push_str(name);
        if let Some(target) = target.filter(|_| self.options.verbose) {
            let arrow = if entry.header().entry_type() == EntryType::Link {
                "link to"
            } else {
                "->"
            };
            line = format!("{line} {arrow} {}", String::from_utf8_lossy(&target));
        }
        writeln!(self.output, "{line}")
            .map_err(|error| format!("Cannot write the list: {}", reason(&error)))
    }

    /// Splits a name into its parts. Fails if one is `..`.
    fn parts(&mut self, name: &str) -> Result<Vec<String>, String> {
        if name.starts_with('/') && !self.stripped {
            self.stripped = true;
            self.report.note("Removing leading `/' from member names");
        }
        let parts: Vec<String> = name
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(Into::into)
            .collect();
        if parts.iter().any(|part| part == "..") {
            return Err("Member name contains '..'".into());
        }
        Ok(parts)
    }

    fn unpack(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        name: &str,
        parts: Vec<String>,
    ) -> Result<(), String> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Directory => {
                let path = make_directories(&self.options.directory, &parts)
                    .map_err(|error| format!("Cannot mkdir: {}", reason(&error)))?;
                self.directories.push((path, modified(entry)));
            }
            // In old archives a directory is a file whose name ends with a slash.
            EntryType::Regular if name.ends_with('/') => {
                make_directories(&self.options.directory, &parts)
                    .map_err(|error| format!("Cannot mkdir: {}", reason(&error)))?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, &parts)?;
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8(target.into_owned())
                    .map_err(|_| "the link's target is not UTF-8".to_owned())?;
                let target = if kind == EntryType::Link {
                    Target::Hard(self.parts(&target)?)
                } else {
                    Target::Symbolic(target)
                };
                self.links.push(Link {
                    name: name.to_owned(),
                    parts,
                    target,
                });
            }
            _ => return Err("Cannot make special files in WebAssembly".into()),
        }
        Ok(())
    }

    fn file(&self, entry: &mut Entry<'_, impl Read>, parts: &[String]) -> Result<(), String> {
        let failed = |error| format!("Cannot open: {}", reason(&error));
        let path = cleared_path(&self.options.directory, parts).map_err(failed)?;
        let mut file = File::create_new(&path).map_err(failed)?;
        std::io::copy(entry, &mut file)
            .map_err(|error| format!("Cannot write: {}", reason(&error)))?;
        drop(file);
        self.set_time(&path, modified(entry))
    }

    /// Sets the times of a file, unless the command line forbids it.
    fn set_time(&self, path: &Path, seconds: i64) -> Result<(), String> {
        if self.options.touch {
            return Ok(());
        }
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| format!("Cannot utime: {}", reason(&error.into())))
    }

    /// Makes the links, sets the times of directories, and reports paths that were not found.
    fn finish(mut self) -> Result<(), String> {
        for link in std::mem::take(&mut self.links) {
            if let Err(error) = self.link(&link) {
                let what = match &link.target {
                    Target::Symbolic(target) => format!("symlink to '{target}'"),
                    Target::Hard(target) => format!("hard link to '{}'", target.join("/")),
                };
                let (name, reason) = (&link.name, reason(&error));
                self.report
                    .error(format_args!("{name}: Cannot create {what}: {reason}"));
            }
        }
        for (path, seconds) in std::mem::take(&mut self.directories).into_iter().rev() {
            if let Err(wrong) = self.set_time(&path, seconds) {
                let path = path.display();
                self.report.error(format_args!("{path}: {wrong}"));
            }
        }
        for ((_, path), found) in self.options.paths.iter().zip(&self.found) {
            if !found {
                self.report
                    .error(format_args!("{path}: Not found in archive"));
            }
        }
        self.output
            .flush()
            .map_err(|error| format!("Cannot write the list: {}", reason(&error)))
    }

    fn link(&self, link: &Link) -> IoResult<()> {
        let root = &self.options.directory;
        match &link.target {
            Target::Symbolic(target) => {
                let path = cleared_path(root, &link.parts)?;
                Ok(rustix::fs::symlink(target.as_str(), &path)?)
            }
            Target::Hard(target) => {
                let (last, parents) = target.split_last().ok_or(ErrorKind::NotFound)?;
                let original = make_directories(root, parents)?.join(last);
                // Checked before the link's own path is cleared, which may be the same.
                original.symlink_metadata()?;
                if target == &link.parts {
                    return Ok(());
                }
                fs::hard_link(original, cleared_path(root, &link.parts)?)
            }
        }
    }
}

/// Returns the path of a member that is not a directory. Makes the directories above it and removes a file that is there.
fn cleared_path(root: &Path, parts: &[String]) -> IoResult<PathBuf> {
    let (last, parents) = parts.split_last().ok_or(ErrorKind::InvalidInput)?;
    let path = make_directories(root, parents)?.join(last);
    match path.symlink_metadata() {
        Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        // Removed instead of overwritten: it may be a link, and a process that has it open can keep reading.
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(path)
}

/// Makes the missing directories of this path below `root`. Fails at a symbolic link.
fn make_directories(root: &Path, parts: &[String]) -> IoResult<PathBuf> {
    let mut path = root.to_owned();
    for part in parts {
        path.push(part);
        match path.symlink_metadata() {
            Ok(there) if there.is_dir() => {}
            Ok(there) if there.is_symlink() => {
                let path = path.display();
                return Err(std::io::Error::other(format!("{path} is a symbolic link")));
            }
            Ok(_) => return Err(ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir(&path)?,
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

fn modified(entry: &Entry<'_, impl Read>) -> i64 {
    let seconds = entry.header().mtime().unwrap_or_default();
    i64::try_from(seconds).unwrap_or_default()
}

/// Returns `rwxr-xr-x` for 0o755.
fn permissions(mode: u32) -> String {
    (0..9)
        .map(|bit| match mode & (0o400 >> bit) {
            0 => '-',
            _ => ['r', 'w', 'x'][bit % 3],
        })
        .collect()
}
