//! The limits of a container's processes beyond those that libcontainer sets.
//!
//! - `label`: SELinux labels and AppArmor profiles
//! - `syscalls`: the system calls that a process may make if it runs or compiles WebAssembly
//! - `keyring`: a session keyring of the container's own
//! - `nss`: name lookups that load nothing from the image
//! - `parent`: the end of a process with the one that started it

pub(super) mod keyring;
pub(super) mod label;
pub(super) mod nss;
pub(super) mod parent;
pub(super) mod syscalls;
