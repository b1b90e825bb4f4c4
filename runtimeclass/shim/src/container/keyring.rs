//! The keys of a container's processes: a session keyring of their own. Else they would have that of containerd, and with
//! it the keys of the node. runc makes one, too; libcontainer makes none
//! (docs/upstream/keyring.md).

use anyhow::{Result, bail};

/// `KEYCTL_JOIN_SESSION_KEYRING` of <linux/keyctl.h>.
const JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Gives this process, and what is forked from it, a new session keyring.
pub(super) fn leave() -> Result<()> {
    let unnamed = std::ptr::null::<libc::c_char>();
    // SAFETY: takes a number and a null pointer, which asks for a keyring without a name.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, unnamed) };
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        _ if joined >= 0 => Ok(()),
        // A kernel without keys.
        Some(libc::ENOSYS) => Ok(()),
        _ => bail!("cannot make a session keyring: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of this thread's session keyring.
    fn session() -> libc::c_long {
        // KEYCTL_GET_KEYRING_ID and KEY_SPEC_SESSION_KEYRING.
        // SAFETY: takes numbers, no memory.
        unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 0) }
    }

    #[test]
    fn the_keys_of_who_made_the_process_are_left() {
        // Threads have keyrings of their own.
        let seen = std::thread::spawn(|| {
            let before = session();
            leave().expect("a keyring can be made, or there are none");
            (before, session())
        });
        let (before, after) = seen.join().expect("it does not panic");
        assert!(before != after || before == -1, "{before} and {after}");
    }
}
