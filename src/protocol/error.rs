//! Why a visit could not be counted, or the count not be read: one line, and the kind that decides the status.

use super::directory::FsError;
use super::platform::ROOT;
use anyhow::anyhow;
use std::fmt;
use std::rc::Rc;

/// The kind of a refusal, which decides the response's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The volume, or its present state, does not allow it; a later request may succeed. The status is 503.
    Unavailable,
    /// What is on the volume cannot be a count; a person must look. The status is 500.
    NotACount,
}

/// A refusal and its cause, with the path that it is about.
#[derive(Debug)]
pub struct CountError {
    /// The kind of the refusal.
    pub refusal: Refusal,
    cause: anyhow::Error,
}

/// The result of an act of counting.
pub type CountResult<T> = Result<T, CountError>;

/// An error that all visitors of a batch share.
pub type SharedError = Rc<CountError>;

impl CountError {
    /// Returns the error of a volume that does not allow it now.
    pub(super) fn unavailable(cause: anyhow::Error) -> Self {
        CountError {
            refusal: Refusal::Unavailable,
            cause,
        }
    }

    /// Returns the error of a volume that holds something other than a count.
    pub(super) fn not_a_count(cause: anyhow::Error) -> Self {
        CountError {
            refusal: Refusal::NotACount,
            cause,
        }
    }

    /// Returns the error of a failed call on the volume; `what` is what failed.
    pub(super) fn refused(what: &str, cause: FsError) -> Self {
        CountError::unavailable(anyhow!("{what} in {ROOT}: {cause}"))
    }

    /// Returns the error of a request whose counting ended with another request.
    pub(super) fn interrupted() -> Self {
        CountError::unavailable(anyhow!(
            "the host cancelled the request that was counting for this one"
        ))
    }
}

impl fmt::Display for CountError {
    /// Writes the whole chain of causes on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{:#}", self.cause);
        f.write_str(&line.replace(['\n', '\r'], " "))
    }
}

impl std::error::Error for CountError {}
