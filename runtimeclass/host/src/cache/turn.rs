//! Locks that limit concurrent compilations. Of many processes that start the same component at once, one compiles it
//! and the others find its code. One component per owner is compiled at a time, and a few over all owners, so that no
//! owner delays the others.
//!
//! The locks are byte ranges of one file. They belong to the open file description (`F_OFD_SETLK`), so they end with
//! the process.

use super::{Cache, Key};
use crate::error::{Error, OrError};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The file that is locked.
const LOCKS: &str = "locks";

/// Maximum number of components that are compiled at once.
const MAX_COMPILERS: i64 = 4;

/// The first byte of the range that names are hashed to.
const NAMES: i64 = 1 << 62;

/// The pause between two attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(10);

/// A permit to compile, held until it is dropped. Returned by [`Cache::turn`].
#[derive(Debug)]
pub struct Turn {
    _locks: OwnedFd,
}

impl Cache {
    /// Waits until no other process compiles the code with this key or other code of this owner, and fewer than
    /// `MAX_COMPILERS` processes compile. Fails at the deadline. The caller must look for the code again, because
    /// another process may have compiled it in the meantime.
    ///
    /// # Errors
    /// At the deadline, or if the file of locks cannot be opened.
    pub fn turn(&self, key: &Key, owner: &str, deadline: Instant) -> Result<Turn, Error> {
        self.lock_turn(key, owner, deadline).or_error(Error::Cache)
    }

    fn lock_turn(&self, key: &Key, owner: &str, deadline: Instant) -> Result<Turn> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let locks = rustix::fs::openat(&self.directory, LOCKS, flags, Mode::RUSR | Mode::WUSR)
            .with_context(|| format!("cannot open {}", self.path.join(LOCKS).display()))?;
        // All processes lock in the same order, so there is no deadlock.
        lock_one(&locks, &[byte(key.name())], deadline)
            .context("the same code is being compiled")?;
        lock_one(&locks, &[byte(&format!("owner {owner}"))], deadline)
            .with_context(|| format!("other code of {owner:?} is being compiled"))?;
        let slots: Vec<i64> = (0..MAX_COMPILERS).collect();
        lock_one(&locks, &slots, deadline).context("the node compiles for other owners")?;
        Ok(Turn { _locks: locks })
    }
}

/// Returns the byte that represents a name in the lock file.
fn byte(name: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    NAMES + (number % (1 << 61)) as i64
}

/// Waits until one of these bytes is locked. Fails at the deadline.
fn lock_one(locks: &OwnedFd, bytes: &[i64], deadline: Instant) -> Result<()> {
    loop {
        for byte in bytes {
            let lock = libc::flock {
                l_type: libc::F_WRLCK as i16,
                l_whence: libc::SEEK_SET as i16,
                l_start: *byte,
                l_len: 1,
                l_pid: 0,
            };
            match fcntl(locks, FcntlArg::F_OFD_SETLK(&lock)) {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN | Errno::EACCES) => {}
                Err(error) => return Err(error).context("cannot lock the cache"),
            }
        }
        if Instant::now() >= deadline {
            bail!("the wait for a lock to compile timed out");
        }
        std::thread::sleep(PAUSE);
    }
}
