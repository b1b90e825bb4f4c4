//! A session keyring for the container's processes. Without it they would share containerd's, and with it the keys of the
//! node. runc creates one too, libcontainer does not (docs/upstream/keyring.md).

use anyhow::{Result, bail};

/// `KEYCTL_JOIN_SESSION_KEYRING` of <linux/keyctl.h>.
const JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Gives this process, and all that are forked from it, a new session keyring.
pub(crate) fn leave() -> Result<()> {
    let unnamed = std::ptr::null::<libc::c_char>();
    // SAFETY: takes a number and a null pointer, which means a keyring without a name.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, unnamed) };
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        _ if joined >= 0 => Ok(()),
        // The kernel has no keyrings.
        Some(libc::ENOSYS) => Ok(()),
        _ => bail!("cannot create a session keyring: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the id of this thread's session keyring.
    fn session() -> libc::c_long {
        // KEYCTL_GET_KEYRING_ID and KEY_SPEC_SESSION_KEYRING.
        // SAFETY: takes numbers, no memory.
        unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 0) }
    }

    #[test]
    fn a_process_leaves_the_keyring_of_its_parent() {
        // Each thread has keyrings of its own.
        let seen = std::thread::spawn(|| {
            let before = session();
            leave().expect("a keyring can be created, or there are none");
            (before, session())
        });
        let (before, after) = seen.join().expect("it does not panic");
        assert!(before != after || before == -1, "{before} and {after}");
    }
}
