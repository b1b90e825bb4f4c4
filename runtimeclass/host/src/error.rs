//! The errors of this library.

use std::error::Error as StdError;
use std::fmt;

/// Why the host could not be set up or could not go on, by what a caller has to change.
///
/// Every error is one line. `{}` leaves out the operating system's error if that was the cause, because
/// [`source`](StdError::source) returns it; `{:#}` has both.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The manifest cannot be read, is malformed, or needs something that this host does not have.
    Manifest(Cause),
    /// A variable has no value, or a value that a component cannot have.
    Variable(Cause),
    /// A directory of the manifest's `files` is missing, or must not be mounted.
    Volume(Cause),
    /// A component cannot be read, does not serve HTTP, or does not start.
    Component(Cause),
    /// A certificate authority cannot be read or used.
    Authorities(Cause),
    /// The cache of compiled code is unsafe, or code cannot be compiled, kept or mapped.
    Cache(Cause),
    /// A limit cannot be met on this machine.
    Limits(Cause),
    /// The listener has no address.
    Listener(Cause),
    /// The startup check reaches no component.
    StartupCheck(Cause),
    /// The program to run is not a WASI command.
    Command(Cause),
    /// wasmtime, a thread, the log or a signal handler cannot be set up.
    Setup(Cause),
    /// A component's thread has ended while the host served.
    Stopped(Cause),
}

/// The reason of an [`Error`].
pub struct Cause(anyhow::Error);

impl Error {
    fn cause(&self) -> &Cause {
        match self {
            Self::Manifest(cause)
            | Self::Variable(cause)
            | Self::Volume(cause)
            | Self::Component(cause)
            | Self::Authorities(cause)
            | Self::Cache(cause)
            | Self::Limits(cause)
            | Self::Listener(cause)
            | Self::StartupCheck(cause)
            | Self::Command(cause)
            | Self::Setup(cause)
            | Self::Stopped(cause) => cause,
        }
    }
}

impl Cause {
    /// Returns the operating system's error, if a description of what failed is around it.
    fn system(&self) -> Option<&(dyn StdError + 'static)> {
        let root = self.0.chain().skip(1).last()?;
        (root.is::<std::io::Error>() || root.is::<rustix::io::Errno>()).then_some(root)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() || self.system().is_none() {
            return write!(f, "{:#}", self.0);
        }
        let descriptions = self.0.chain().count() - 1;
        for (at, description) in self.0.chain().take(descriptions).enumerate() {
            let separator = if at == 0 { "" } else { ": " };
            write!(f, "{separator}{description}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", format!("{:#}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause().system()
    }
}

/// Converts the error of a result.
pub(crate) trait OrError<T> {
    /// Converts the error to this kind.
    fn or_error(self, kind: fn(Cause) -> Error) -> Result<T, Error>;
}

impl<T, E: Into<anyhow::Error>> OrError<T> for Result<T, E> {
    fn or_error(self, kind: fn(Cause) -> Error) -> Result<T, Error> {
        self.map_err(|error| kind(Cause(error.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn the_operating_systems_error_is_the_source() {
        let missing = std::fs::read("/no/such/file").context("/app/spin.toml: cannot read it");
        let error = missing
            .or_error(Error::Manifest)
            .expect_err("it is missing");
        assert_eq!(error.to_string(), "/app/spin.toml: cannot read it");
        let source = error
            .source()
            .expect("a source")
            .downcast_ref::<std::io::Error>();
        let kind = source.expect("an I/O error").kind();
        assert_eq!(kind, std::io::ErrorKind::NotFound);
        let whole = "/app/spin.toml: cannot read it: No such file or directory (os error 2)";
        assert_eq!(format!("{error:#}"), whole);
        // As anyhow prints a chain of sources.
        assert_eq!(format!("{:#}", anyhow::Error::from(error)), whole);
    }

    #[test]
    fn any_other_error_is_one_line_without_a_source() {
        let error = Err::<(), _>(anyhow!("no such key").context("spin.toml:3"));
        let error = error.or_error(Error::Manifest).expect_err("an error");
        assert_eq!(error.to_string(), "spin.toml:3: no such key");
        assert!(error.source().is_none());
        assert_eq!(
            format!("{error:?}"),
            r#"Manifest("spin.toml:3: no such key")"#
        );
    }

    #[test]
    fn an_error_without_a_description_is_its_own_message() {
        let error = Err::<(), _>(std::io::Error::other("disk on fire"));
        let error = error.or_error(Error::Cache).expect_err("an error");
        assert_eq!(error.to_string(), "disk on fire");
        assert!(error.source().is_none());
    }
}
