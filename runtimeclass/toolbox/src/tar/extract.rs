//! Lists and unpacks archives. No member leaves the directory that it is unpacked into: a name with `..` is refused, and
//! so is one that leads through a symbolic link. Links are made last, so that no member passes through one of the
//! archive's own.

use super::options::{Mode, Options};
use super::reason;
use crate::report::Report;
use crate::time;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, File};
use std::io::{BufRead, ErrorKind, Read, Result as IoResult, Write};
use std::path::{Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// Lists or unpacks the archive. An error is one of the archive or the output; errors of members are reported.
pub(super) fn archive(
    options: &Options,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    report: &mut Report<'_>,
) -> Result<(), String> {
    let directory = &options.directory;
    if options.mode == Mode::Extract && *directory != Path::new("") {
        let there = fs::read_dir(directory);
        there
            .map_err(|error| format!("{}: Cannot open: {}", directory.display(), reason(&error)))?;
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
    // What follows the end: a writer that is cut off would fail.
    std::io::copy(input, &mut std::io::sink()).map_err(broken)?;
    Ok(())
}

struct Unpacker<'a, 'r> {
    options: &'a Options,
    output: &'a mut dyn Write,
    report: &'a mut Report<'r>,
    links: Vec<Link>,
    /// Directories that get their times last, for a file made in one changes them.
    directories: Vec<(PathBuf, i64)>,
    /// Which of the named members there were.
    found: Vec<bool>,
    /// Whether it was reported that names are stripped.
    stripped: bool,
}

/// A link to be made.
struct Link {
    name: String,
    parts: Vec<String>,
    target: Target,
}

enum Target {
    /// What a symbolic link holds.
    Symbolic(String),
    /// The parts of another member's name.
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
        if self.options.verbose || self.options.mode == Mode::List {
            self.list(entry, &name)?;
        }
        if self.options.mode == Mode::List {
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

    /// Whether a member is named on the command line or lies in a named directory; without names all are.
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

    /// Prints a member's name; with `tar tv`, what is known of it too.
    fn list(&mut self, entry: &Entry<'_, impl Read>, name: &str) -> Result<(), String> {
        let mut line = String::new();
        let target = entry.link_name_bytes();
        if self.options.verbose && self.options.mode == Mode::List {
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

    /// Returns the parts of a name below the directory.
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
            // In old archives a directory is a file whose name ends so.
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
        let cannot_open = |error| format!("Cannot open: {}", reason(&error));
        let path = place(&self.options.directory, parts).map_err(cannot_open)?;
        let mut file = File::create_new(&path).map_err(cannot_open)?;
        std::io::copy(entry, &mut file)
            .map_err(|error| format!("Cannot write: {}", reason(&error)))?;
        drop(file);
        self.set_time(&path, modified(entry))
    }

    /// Sets the time of the last modification, unless the command line forbids it.
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

    /// Makes the links and sets the times of the directories.
    fn finish(mut self) -> Result<(), String> {
        for link in std::mem::take(&mut self.links) {
            if let Err(error) = self.link(&link) {
                let (name, what) = match &link.target {
                    Target::Symbolic(target) => (&link.name, format!("symlink to '{target}'")),
                    Target::Hard(target) => {
                        (&link.name, format!("hard link to '{}'", target.join("/")))
                    }
                };
                let reason = reason(&error);
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
                let path = place(root, &link.parts)?;
                Ok(rustix::fs::symlink(target.as_str(), &path)?)
            }
            Target::Hard(target) => {
                let (last, parents) = target.split_last().ok_or(ErrorKind::NotFound)?;
                let original = make_directories(root, parents)?.join(last);
                // Before the link's own place is cleared: it may be the same.
                original.symlink_metadata()?;
                if target == &link.parts {
                    return Ok(());
                }
                fs::hard_link(original, place(root, &link.parts)?)
            }
        }
    }
}

/// Returns the path of a member that is no directory, with its parents made and what was there removed.
fn place(root: &Path, parts: &[String]) -> IoResult<PathBuf> {
    let (last, parents) = parts.split_last().ok_or(ErrorKind::InvalidInput)?;
    let path = make_directories(root, parents)?.join(last);
    match path.symlink_metadata() {
        Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        // Not overwritten: it may be a link, and who has it open reads on.
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(path)
}

/// Makes the directories that are missing on this way below `root`. It passes through no symbolic link.
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
