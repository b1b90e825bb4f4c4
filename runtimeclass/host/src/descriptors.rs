//! File descriptors: that there are enough for every connection beside those that the component's files need.
//!
//! Each connection takes a descriptor, and so does each file that the component opens. Were connections allowed to
//! take them all, file calls would fail, and WASI can only call that an I/O error: idle clients would look to the
//! component like a broken disk. So there is room for both before anything is served, or nothing is.
//!
//! Apart from [`crate::serve`], because the limit is the whole process's: whoever owns the process calls
//! [`make_room`] before it serves. The command does.

use crate::guest::FILE_THREADS;
use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of connections:
/// - two for every thread that does a component's file calls: the file of the call, and the directory it is in
/// - 64 for requests that the component sends
/// - 64 for the host itself, which has some 20: standard streams, listener, pollers, compiled code, preopened
///   directories
///
/// A component that keeps more open than this may still find some: the limit is raised as far as it goes.
pub const RESERVE: u64 = 2 * FILE_THREADS as u64 + 64 + 64;

/// Raises the process's limit of open files as far as it may, checks that so many connections fit, and returns them.
///
/// The limit is low by default for the sake of programs that use `select`, which handles descriptors below 1024
/// only; this one does not, and starts no other program that would inherit the limit.
pub fn make_room(connections: usize) -> Result<usize> {
    check(connections as u64, raise())?;
    Ok(connections)
}

/// The same for a number that nobody asked for: where there is room for fewer, it is fewer.
pub fn make_room_up_to(connections: usize) -> Result<usize> {
    let limit = raise();
    let fitting = usize::try_from(limit.saturating_sub(RESERVE)).unwrap_or(usize::MAX);
    let fewer = connections.min(fitting.max(1));
    check(fewer as u64, limit)?;
    if fewer < connections {
        tracing::info!(
            max_connections = fewer,
            open_files = limit,
            "fewer connections at once than usual"
        );
    }
    Ok(fewer)
}

/// Raises the limit and returns it.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files (ulimit -n) stays as it is");
            limit.current
        }
    };
    now.unwrap_or(u64::MAX)
}

fn check(connections: u64, limit: u64) -> Result<()> {
    let needed = connections.saturating_add(RESERVE);
    let fewer = match limit.saturating_sub(RESERVE) {
        0 => String::new(),
        fitting => format!(", or give --max-connections {fitting}"),
    };
    ensure!(
        needed <= limit,
        "{connections} connections need a limit of {needed} open files ({RESERVE} are for the component and the host), \
         but it is {limit}: raise it with ulimit -n {needed}{fewer}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_connections_fit_as_the_reserve_leaves() {
        assert!(check(1024, 1024 + RESERVE).is_ok());
        assert!(check(u64::MAX, u64::MAX).is_ok(), "no limit");
        let error = check(1024, 1023 + RESERVE).expect_err("one too many");
        let error = error.to_string();
        for says in ["1280", "1279", "ulimit -n 1280", "--max-connections 1023"] {
            assert!(error.contains(says), "{says:?} is missing: {error}");
        }
    }

    #[test]
    fn fewer_connections_are_no_advice_where_none_would_fit() {
        let error = check(1, RESERVE).expect_err("no room at all");
        assert!(!error.to_string().contains("--max-connections"), "{error}");
    }
}
