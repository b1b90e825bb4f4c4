//! Who may compile now. Of many that start the same component at once, one compiles and the others find its code. Of
//! one owner one component is compiled at a time, and of all owners a few: so no owner keeps the others waiting.
//!
//! The locks are those of bytes of one file. They belong to the open file (`F_OFD_SETLK`) and end with the process.

use super::{Cache, Key};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The file whose bytes are locked.
const LOCKS: &str = "locks";

/// Components that are compiled at once, at most.
const MAX_COMPILERS: i64 = 4;

/// The first byte that a name can be hashed to.
const NAMES: i64 = 1 << 62;

/// Between two looks at a lock that another process has.
const PAUSE: Duration = Duration::from_millis(10);

/// The right to compile, until it is dropped. Made by [`Cache::turn`].
#[derive(Debug)]
pub struct Turn {
    _locks: OwnedFd,
}

impl Cache {
    /// Waits until nobody compiles what has this key, nor anything else for this owner, and few compile for others.
    /// Fails at the deadline. Whoever gets the turn must look for the code again: it may have been made meanwhile.
    pub fn turn(&self, key: &Key, owner: &str, deadline: Instant) -> Result<Turn> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let locks = rustix::fs::openat(&self.directory, LOCKS, flags, Mode::RUSR | Mode::WUSR)
            .with_context(|| format!("cannot open {}", self.path.join(LOCKS).display()))?;
        // The same order for everybody, so nobody waits for one that waits for it.
        lock_one(&locks, &[byte(key.name())], deadline)
            .context("the same code is being compiled")?;
        lock_one(&locks, &[byte(&format!("owner {owner}"))], deadline)
            .with_context(|| format!("other code of {owner:?} is being compiled"))?;
        let slots: Vec<i64> = (0..MAX_COMPILERS).collect();
        lock_one(&locks, &slots, deadline).context("the node compiles for others")?;
        Ok(Turn { _locks: locks })
    }
}

/// Returns the byte that stands for a name.
fn byte(name: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    NAMES + (number % (1 << 61)) as i64
}

/// Locks one of these bytes.
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
            bail!("no turn to compile in time");
        }
        std::thread::sleep(PAUSE);
    }
}
