//! Removes entries to make room, remembers failures to compile for a while, and removes the leftovers of killed
//! processes.

use super::{Cache, Key, entry};
use crate::error::{Error, OrError};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of an unfinished entry's name.
pub(super) const UNFINISHED: &str = ".unfinished.";

/// The end of a remembered failure's name.
const FAILURE: &str = ".failed";

/// How long a failure is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The age at which an unfinished entry counts as abandoned. Writing one takes seconds.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Maximum bytes of a remembered reason.
const MAX_REASON: u64 = 4096;

impl Cache {
    /// Removes entries until at most `max` bytes are left, but always keeps the entry `keep`. Takes them from the owner
    /// with the most bytes, least recently used first, so that an owner loses entries only while it has the most.
    pub(super) fn make_room(&self, keep: &str, max: u64) {
        let mut entries: Vec<(i64, u64, String)> = self
            .names(entry::is_name)
            .into_iter()
            .filter_map(|name| {
                let status = self.status(&name)?;
                Some((status.st_atime, u64::try_from(status.st_size).ok()?, name))
            })
            .collect();
        entries.sort();
        let mut shares: BTreeMap<String, u64> = BTreeMap::new();
        for (_, size, name) in &entries {
            *shares.entry(entry::owner(name).to_owned()).or_default() += size;
        }
        while shares.values().sum::<u64>() > max {
            let share = |name: &str| shares.get(entry::owner(name)).copied().unwrap_or_default();
            let others = entries.iter().enumerate();
            let others = others.filter(|(_, (_, _, name))| name != keep);
            // `max_by_key` returns the last maximum, so reversed order finds the least recently used one.
            let Some((at, _)) = others.rev().max_by_key(|(_, (_, _, name))| share(name)) else {
                break;
            };
            let (_, size, name) = entries.remove(at);
            self.remove(&name);
            if let Some(share) = shares.get_mut(entry::owner(&name)) {
                *share -= size;
            }
        }
        self.remove_older(UNFINISHED, "", ABANDONED);
        self.remove_older("", FAILURE, REMEMBERED);
    }

    /// Remembers the reason why the code with this key could not be compiled.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn remember_failure(&self, key: &Key, reason: &str) -> Result<(), Error> {
        self.write_failure(key, reason).or_error(Error::Cache)
    }

    fn write_failure(&self, key: &Key, reason: &str) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = format!("{}{FAILURE}", key.name());
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)
            .with_context(|| {
                format!(
                    "{}: cannot remember a failure to compile",
                    self.path.display()
                )
            })?;
        let bytes = reason.as_bytes();
        let end = bytes.len().min(MAX_REASON as usize);
        Ok(File::from(file).write_all(&bytes[..end])?)
    }

    /// Returns the reason why the code with this key could not be compiled, if a recent attempt failed.
    pub fn failure(&self, key: &Key) -> Option<String> {
        let name = format!("{}{FAILURE}", key.name());
        if older_than(self.status(&name)?.st_mtime, REMEMBERED) {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::empty()).ok()?;
        let mut reason = Vec::new();
        let read = File::from(file).take(MAX_REASON).read_to_end(&mut reason);
        read.ok()?;
        Some(String::from_utf8_lossy(&reason).into_owned())
    }

    fn remove_older(&self, start: &str, end: &str, age: Duration) {
        for name in self.names(|name| name.starts_with(start) && name.ends_with(end)) {
            let status = self.status(&name);
            if status.is_some_and(|status| older_than(status.st_mtime, age)) {
                self.remove(&name);
            }
        }
    }

    fn status(&self, name: &str) -> Option<rustix::fs::Stat> {
        rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }
}

fn older_than(modified: i64, age: Duration) -> bool {
    let modified = UNIX_EPOCH + Duration::from_secs(u64::try_from(modified).unwrap_or(0));
    // A time in the future is not old.
    SystemTime::now()
        .duration_since(modified)
        .is_ok_and(|old| old > age)
}
