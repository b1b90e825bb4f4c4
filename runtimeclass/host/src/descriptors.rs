//! Reserves file descriptors, so that connections cannot take those that the component's files need.
//!
//! Each connection takes a descriptor, and so does each file that the component opens. If connections took all of them,
//! file calls would fail with a plain I/O error, because WASI has no better one: many idle clients would look like a
//! broken disk to the component. So the host refuses to start unless there is room for both.
//!
//! Separate from [`crate::serve`], because the limit applies to the whole process: the process's owner calls
//! [`make_room`] before it serves. The command does.

use crate::guest::FILE_THREADS;
use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors reserved for other uses than connections:
/// - two for each thread that runs a component's file calls: the file and its directory
/// - 64 for outbound requests
/// - 64 for the host, which uses about 20: standard streams, listener, pollers, compiled code, preopened directories
///
/// A component that keeps more files open may still get descriptors, because the limit is raised to its maximum.
pub const RESERVE: u64 = 2 * FILE_THREADS as u64 + 64 + 64;

/// Raises the process's limit of open files to its maximum. Fails unless `connections` fit, and returns them.
///
/// The default limit is low because of programs that use `select`, which only handles descriptors below 1024. The host
/// does not use it, and starts no program that would inherit the limit.
pub fn make_room(connections: usize) -> Result<usize> {
    check(connections as u64, raise())?;
    Ok(connections)
}

/// Raises the limit like [`make_room`], but returns fewer connections if only fewer fit. Suited to a default.
pub fn make_room_up_to(connections: usize) -> Result<usize> {
    let limit = raise();
    let fitting = usize::try_from(limit.saturating_sub(RESERVE)).unwrap_or(usize::MAX);
    let fewer = connections.min(fitting.max(1));
    check(fewer as u64, limit)?;
    if fewer < connections {
        tracing::info!(
            max_connections = fewer,
            open_files = limit,
            "reduced the maximum number of connections to fit the limit of open files (ulimit -n)"
        );
    }
    Ok(fewer)
}

/// Raises the limit, and returns it.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files (ulimit -n)");
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
        "{connections} connections need a limit of {needed} open files ({RESERVE} are reserved for the component and \
         the host), but the limit is {limit}: raise it with ulimit -n {needed}{fewer}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_limit_less_the_reserve() {
        assert!(check(1024, 1024 + RESERVE).is_ok());
        assert!(check(u64::MAX, u64::MAX).is_ok(), "no limit");
        let error = check(1024, 1023 + RESERVE).expect_err("one too many");
        let error = error.to_string();
        for says in ["1280", "1279", "ulimit -n 1280", "--max-connections 1023"] {
            assert!(error.contains(says), "{says:?} is missing: {error}");
        }
    }

    #[test]
    fn fewer_connections_are_not_suggested_if_none_would_fit() {
        let error = check(1, RESERVE).expect_err("no room at all");
        assert!(!error.to_string().contains("--max-connections"), "{error}");
    }
}
