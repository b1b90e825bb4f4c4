//! What bounds a served application, each with the value it has unless the caller says otherwise.

use anyhow::{Result, ensure};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of memory of an instance if nothing else is said.
const DEFAULT_MEMORY: usize = 128 << 20;

/// What the host itself needs beside the component, at least, in bytes.
const HOST_MEMORY: u64 = 16 << 20;

/// A page of WebAssembly memory: with less no component can start.
pub(crate) const MIN_MEMORY: usize = 64 << 10;

/// How long a connection may be idle if nothing else is said.
///
/// The side that closes an idle connection should be the client: a server that closes it while the next request is on
/// its way leaves that request unanswered. Load balancers keep theirs for 60 s (nginx, AWS), or 600 s (Google Cloud);
/// docs/proxies.md has the sources. It costs little, because the longest idle ones are closed when connections run short.
const DEFAULT_IDLE: Duration = Duration::from_secs(620);

/// How much memory an instance may have.
#[derive(Clone, Copy, Debug)]
pub enum MemoryLimit {
    /// As many bytes.
    Fixed(usize),
    /// What the container's limit, in bytes, leaves beside the host. The limit may change at any time.
    BelowContainer(&'static AtomicU64),
}

impl MemoryLimit {
    /// Returns the limit now, in bytes. Below a container's limit that is a quarter less, or by what the host needs if
    /// that is more: a component that reaches its own limit fails its requests with a message, one that reaches the
    /// container's is killed without one.
    pub fn bytes(self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::BelowContainer(limit) => {
                let limit = limit.load(Ordering::Acquire);
                let rest = limit.saturating_sub(HOST_MEMORY.max(limit / 4));
                usize::try_from(rest).map_or(DEFAULT_MEMORY, |rest| rest.min(DEFAULT_MEMORY))
            }
        }
    }

    /// Returns the highest limit that there can be, in bytes.
    pub(crate) fn highest(self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::BelowContainer(_) => DEFAULT_MEMORY,
        }
    }

    /// Refuses a container's limit that leaves a component nothing: it could not even start.
    pub(crate) fn check(self) -> Result<()> {
        if let Self::BelowContainer(limit) = self {
            let limit = limit.load(Ordering::Acquire);
            ensure!(
                self.bytes() >= MIN_MEMORY,
                "the container's memory limit of {} leaves the component nothing: the host alone needs {}, so give the \
                 container {} or more (resources.limits.memory)",
                bytesize::ByteSize(limit),
                bytesize::ByteSize(HOST_MEMORY),
                bytesize::ByteSize(2 * HOST_MEMORY)
            );
        }
        Ok(())
    }

    /// Describes what set the limit, and so what to change.
    pub(crate) fn source(self) -> String {
        match self {
            Self::Fixed(_) => "--memory-limit".into(),
            Self::BelowContainer(limit) => {
                let limit = limit.load(Ordering::Acquire);
                format!("what the container's memory limit of {limit} leaves it")
            }
        }
    }
}

/// The limits of the server and of the component behind it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How much memory an instance may have.
    pub memory: MemoryLimit,
    /// How long the component may take until the head of its response is made.
    pub request_timeout: Duration,
    /// How long a stopping server waits for requests in flight.
    pub drain_timeout: Duration,
    /// Connections at once. For one more, the one that has been idle longest is closed.
    pub connections: usize,
    /// How long a client may take for the head of a request, the first one from when it has connected.
    pub header_timeout: Duration,
    /// How long a client may keep a connection idle between two requests.
    pub idle_timeout: Duration,
    /// How long a client may stop in the middle of a request's body.
    pub body_timeout: Duration,
    /// Bytes of a request's head.
    pub header_size: usize,
    /// Whether every request is logged.
    pub access_log: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: MemoryLimit::Fixed(DEFAULT_MEMORY),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(25),
            connections: 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: DEFAULT_IDLE,
            body_timeout: Duration::from_secs(10),
            header_size: 32 << 10,
            access_log: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_stays_below_the_containers_limit_and_follows_it() {
        let container: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(u64::MAX)));
        let limit = MemoryLimit::BelowContainer(container);
        for (container_bytes, bytes) in [
            (u64::MAX, 128 << 20),
            (1 << 30, 128 << 20),
            (128 << 20, 96 << 20),
            (32 << 20, 16 << 20),
            (1 << 20, 0),
        ] {
            container.store(container_bytes, Ordering::Release);
            assert_eq!(limit.bytes(), bytes, "{container_bytes}");
        }
        assert!(limit.source().contains("1048576"));
        let error = limit.check().expect_err("too little").to_string();
        assert!(
            error.contains("limit of 1.0 MiB") && error.contains("32.0 MiB or more"),
            "{error}"
        );
        container.store(32 << 20, Ordering::Release);
        assert!(limit.check().is_ok());
    }
}
