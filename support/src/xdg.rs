//! The directories for a user's caches and state, after the XDG Base Directory Specification.

use std::path::PathBuf;

/// Returns the directory for caches: `XDG_CACHE_HOME`, or `.cache` in the home directory.
pub fn cache_home() -> Option<PathBuf> {
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

/// Returns the directory for state: `XDG_STATE_HOME`, or `.local/state` in the home directory.
pub fn state_home() -> Option<PathBuf> {
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}

/// Returns the path in a variable. The specification ignores relative paths.
fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
