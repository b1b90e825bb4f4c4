//! Reserves file descriptors, so that connections cannot take those that the component's files need.
//!
//! Each connection takes a descriptor, and so does each file that the component opens. If connections took all of them,
//! file calls would fail with a plain I/O error, because WASI has no better one: many idle clients would look like a
//! broken disk to the component. So the host refuses to start unless there is room for both.
//!
//! The limit applies to the whole process, so a caller of the library can keep it: see
//! [`HostBuilder::keep_open_files_limit`](crate::HostBuilder::keep_open_files_limit).

use crate::limits::{DEFAULT_CONNECTIONS, FILE_THREADS};
use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors reserved for other uses than connections:
/// - two for each thread that runs a component's file calls: the file and its directory
/// - 64 for outbound requests
/// - 64 for the host, which uses about 20: standard streams, listener, pollers, compiled code, preopened directories
///
/// A component that keeps more files open may still get descriptors, because the limit is raised to its maximum.
const RESERVE: u64 = 2 * FILE_THREADS as u64 + 64 + 64;

/// Raises the process's limit of open files to its maximum, and returns the number of connections: `wanted`, or an error
/// if they do not fit; by default 1024, or fewer if fewer fit.
///
/// The default limit is low because of programs that use `select`, which only handles descriptors below 1024. The host
/// does not use it, and starts no program that would inherit the limit.
pub(crate) fn make_room(wanted: Option<usize>) -> Result<usize> {
    let limit = raise()?;
    if let Some(connections) = wanted {
        check(connections as u64, limit)?;
        return Ok(connections);
    }
    let fitting = usize::try_from(limit.saturating_sub(RESERVE)).unwrap_or(usize::MAX);
    let fewer = DEFAULT_CONNECTIONS.min(fitting.max(1));
    check(fewer as u64, limit)?;
    if fewer < DEFAULT_CONNECTIONS {
        tracing::info!(
            max_connections = fewer,
            open_files = limit,
            "reduced the maximum number of connections to fit the limit of open files (ulimit -n)"
        );
    }
    Ok(fewer)
}

/// Raises the limit, and returns it. (rustix's `getrlimit` cannot fail, so it returns garbage if a seccomp profile denies
/// the call.)
fn raise() -> Result<u64> {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let (current, maximum) = limits.context("cannot read the limit of open files (ulimit -n)")?;
    match setrlimit(Resource::RLIMIT_NOFILE, maximum, maximum) {
        Ok(()) => Ok(maximum),
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files (ulimit -n)");
            Ok(current)
        }
    }
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
