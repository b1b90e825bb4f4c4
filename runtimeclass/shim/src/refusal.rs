//! Errors with containerd's codes. containerd's client acts on the code: "not found" is an end that it was waiting for, a
//! failed precondition is the caller's mistake, and it retries after any other code.

use containerd_shim::protos::ttrpc::{Code, Error, get_status};
use std::fmt;

/// The reason why a call was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: Code,
    message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Returns an error for something that does not exist, or no longer exists.
pub(crate) fn not_found(message: impl Into<String>) -> anyhow::Error {
    refusal(Code::NOT_FOUND, message)
}

/// Returns an error for an id that is taken.
pub(crate) fn already_exists(message: impl Into<String>) -> anyhow::Error {
    refusal(Code::ALREADY_EXISTS, message)
}

/// Returns an error for a call that the state of the process does not allow.
pub(crate) fn precondition(message: impl Into<String>) -> anyhow::Error {
    refusal(Code::FAILED_PRECONDITION, message)
}

/// Returns an error for a request that cannot be read.
pub(crate) fn invalid(message: impl Into<String>) -> anyhow::Error {
    refusal(Code::INVALID_ARGUMENT, message)
}

/// Returns an error for a call that this runtime does not support.
pub(crate) fn unimplemented(message: impl Into<String>) -> anyhow::Error {
    refusal(Code::UNIMPLEMENTED, message)
}

fn refusal(code: Code, message: impl Into<String>) -> anyhow::Error {
    let message = message.into();
    anyhow::Error::new(Refusal { code, message })
}

/// Converts an error into a response, and logs it unless it is a [`Refusal`].
pub(crate) fn error(error: anyhow::Error) -> Error {
    let code = match error.downcast_ref::<Refusal>() {
        Some(refusal) => refusal.code,
        None => {
            log::error!("{error:#}");
            Code::UNKNOWN
        }
    };
    Error::RpcStatus(get_status(code, format!("{error:#}")))
}
