//! A directory that an input describes, and the count in it, read independently of the counter.
//!
//! Each line of the input is a file, `PATH=CONTENT`, or a directory, `PATH/`. Both parts are percent-encoded, so they may
//! hold any byte.

use percent_encoding::percent_decode;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use visits::protocol::record;

/// Maximum number of lines that are read, so that an input takes little time.
const MAX_LINES: usize = 64;

/// A temporary directory, in memory if the machine has such a file system.
pub(crate) struct Tree(TempDir);

impl Tree {
    /// Creates what the input describes. Lines that cannot be created are skipped.
    pub(crate) fn new(input: &[u8]) -> Self {
        let memory = Path::new("/dev/shm");
        let root = match memory.is_dir() {
            true => TempDir::new_in(memory),
            false => TempDir::new(),
        };
        let tree = Tree(root.expect("a temporary directory"));
        for line in input.split(|byte| *byte == b'\n').take(MAX_LINES) {
            let equals = line.iter().position(|byte| *byte == b'=');
            let (path, content) = line.split_at(equals.unwrap_or(line.len()));
            tree.create(path, content.get(1..));
        }
        tree
    }

    /// Creates a file, or a directory if there is no content.
    fn create(&self, path: &[u8], content: Option<&[u8]>) -> Option<()> {
        let decoded: Vec<u8> = percent_decode(path).collect();
        let parts: Vec<&[u8]> = decoded.split(|byte| *byte == b'/').collect();
        let parts: Vec<&[u8]> = parts.into_iter().filter(|it| !it.is_empty()).collect();
        let odd = |part: &&[u8]| matches!(*part, b"." | b"..") || part.contains(&0);
        if parts.is_empty() || parts.iter().any(odd) {
            return None;
        }
        let mut path = self.0.path().to_owned();
        path.extend(parts.iter().map(|part| OsStr::from_bytes(part)));
        match content {
            None => fs::create_dir_all(path).ok(),
            Some(content) => {
                fs::create_dir_all(path.parent()?).ok()?;
                let content: Vec<u8> = percent_decode(content).collect();
                fs::write(path, content).ok()
            }
        }
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the highest number of a ticket.
    pub(crate) fn ticket(&self) -> Option<u64> {
        let entries = fs::read_dir(self.path().join(".visits")).ok()?;
        let files = entries
            .map(|entry| entry.expect("nobody else changes it"))
            .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
        files
            .filter_map(|file| number(file.file_name().to_str()?))
            .max()
    }

    /// Returns the count: that of the ticket; without a private directory, or with an empty one, that of `visits.bin`.
    pub(crate) fn count(&self) -> Option<u64> {
        let private = self.path().join(".visits");
        if let Some(number) = self.ticket() {
            return Some(number);
        }
        let is_free = match fs::read_dir(&private) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => !private.exists(),
        };
        match is_free {
            true if !self.path().join(record::FILE).exists() => Some(0),
            true => record::decode(&self.record()?).ok(),
            false => None,
        }
    }

    /// Returns the content of `visits.bin`; `None` if it is missing or no file.
    pub(crate) fn record(&self) -> Option<Vec<u8>> {
        fs::read(self.path().join(record::FILE)).ok()
    }

    /// Returns the entries of the directory that are not the counter's, with the contents of files.
    pub(crate) fn others(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let entries = fs::read_dir(self.path()).expect("it exists");
        let paths = entries.map(|entry| entry.expect("nobody else changes it").path());
        let is_other = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            !name.starts_with(b".visits") && !name.starts_with(record::FILE.as_bytes())
        };
        let others = paths.filter(is_other);
        others
            .map(|path| (path.clone(), fs::read(&path).ok()))
            .collect()
    }
}

/// Returns the number in a ticket's name: `ticket.483`, or the same with an id of 16 lower-case hexadecimal digits.
fn number(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("ticket.")?;
    let (digits, id) = rest.split_once('-').unwrap_or((rest, "0000000000000000"));
    let is_id = id.len() == 16 && id.bytes().all(|it| b"0123456789abcdef".contains(&it));
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let all_digits = digits.bytes().all(|it| it.is_ascii_digit());
    (is_id && is_canonical && all_digits)
        .then(|| digits.parse().ok())
        .flatten()
}
