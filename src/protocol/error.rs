//! Why a visit could not be counted, or a count not be told: one line, and what a visitor's status hangs on.

use std::fmt;

/// What kind of refusal it is; decides the answer's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The volume, or its state of the moment, does not allow it; it may later. A visitor gets 503.
    Unavailable,
    /// What is on the volume cannot be a count; a person must look. A visitor gets 500.
    NotACount,
}

/// A refusal and its cause, named with the path it is about.
#[derive(Debug)]
pub struct CountError {
    /// What kind of refusal it is.
    pub refusal: Refusal,
    cause: anyhow::Error,
}

impl CountError {
    /// The volume cannot do it, now.
    pub fn unavailable(cause: anyhow::Error) -> Self {
        CountError {
            refusal: Refusal::Unavailable,
            cause,
        }
    }

    /// What is on the volume is no count.
    pub fn not_a_count(cause: anyhow::Error) -> Self {
        CountError {
            refusal: Refusal::NotACount,
            cause,
        }
    }
}

impl fmt::Display for CountError {
    /// The whole chain of causes, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{:#}", self.cause);
        f.write_str(&line.replace(['\n', '\r'], " "))
    }
}

impl std::error::Error for CountError {}

/// The result of an act of counting.
pub type CountResult<T> = Result<T, CountError>;
