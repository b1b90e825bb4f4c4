//! Programs on the `PATH`.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the path of the first of these programs that is on the `PATH`.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let find = |name: &&str| {
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .find(|candidate| candidate.is_file())
    };
    names.iter().find_map(find)
}

/// Returns whether all of these programs are on the `PATH`.
pub fn all_found(names: &[&str]) -> bool {
    names.iter().all(|name| find(&[name]).is_some())
}

/// Returns the `PATH` with these directories before all others.
///
/// # Errors
///
/// Fails if a directory's name contains a colon.
pub fn path_with<P: AsRef<Path>>(first: &[P]) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = first.iter().map(|directory| directory.as_ref().to_owned());
    std::env::join_paths(first.chain(std::env::split_paths(&path)))
        .context("a directory for the PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_that_exists_is_found() {
        let shell = find(&["no-such-program", "sh"]).expect("every system has sh");
        assert!(shell.ends_with("sh"));
        assert!(!all_found(&["sh", "no-such-program"]));
        assert_eq!(find(&["no-such-program"]), None);
    }
}
