//! The limits of a served application, with their defaults.

use anyhow::{Result, ensure};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of memory of all instances by default.
const DEFAULT_MEMORY: usize = 128 << 20;

/// The least memory that the host needs beside the component, in bytes.
const HOST_MEMORY: u64 = 16 << 20;

/// A page of WebAssembly memory. No component can start with less.
pub(crate) const MIN_MEMORY: usize = 64 << 10;

/// Threads for the file calls of one instance. More calls than this at once wait for each other.
pub(crate) const FILE_THREADS: usize = 64;

/// Connections at once by default.
pub(crate) const DEFAULT_CONNECTIONS: usize = 1024;

/// How long a connection may be idle by default.
///
/// The client should close an idle connection first: if the server closes it while the next request is on its way, that
/// request gets no answer. Load balancers keep connections for 60 s (nginx, AWS) or 600 s (Google Cloud); docs/proxies.md
/// has the sources. The long limit costs little, because the longest idle connections are closed when connections run
/// short.
const DEFAULT_IDLE: Duration = Duration::from_secs(620);

/// How much memory the instances of an application may have together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum MemoryLimit {
    /// A number of bytes.
    Fixed(usize),
    /// What the container's limit leaves beside the host. The container's limit, in bytes, may change at any time.
    BelowContainer(&'static AtomicU64),
}

impl MemoryLimit {
    /// Returns the limit now, in bytes.
    ///
    /// Below a container's limit, that is the container's limit less a quarter, or less what the host needs if that is
    /// more. A component that reaches its own limit fails its requests with a message; one that reaches the container's
    /// limit is killed without a message.
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

    /// Returns the highest limit that [`bytes`](Self::bytes) can return.
    pub(crate) fn highest(self) -> usize {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::BelowContainer(_) => DEFAULT_MEMORY,
        }
    }

    /// Fails if the container's limit leaves the component too little memory to start.
    pub(crate) fn check(self) -> Result<()> {
        if let Self::BelowContainer(limit) = self {
            let limit = limit.load(Ordering::Acquire);
            ensure!(
                self.bytes() >= MIN_MEMORY,
                "the container's memory limit of {} leaves the component nothing, because the host alone needs {}: give the \
                 container {} or more (resources.limits.memory)",
                bytesize::ByteSize(limit),
                bytesize::ByteSize(HOST_MEMORY),
                bytesize::ByteSize(2 * HOST_MEMORY)
            );
        }
        Ok(())
    }

    /// Returns what set the limit, and so what to change.
    pub(crate) fn source(self) -> String {
        match self {
            Self::Fixed(_) => "--memory-limit".into(),
            Self::BelowContainer(limit) => {
                let limit = limit.load(Ordering::Acquire);
                format!("the rest of the container's memory limit of {limit}")
            }
        }
    }
}

/// The limits of the server and of the components behind it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How much memory all instances may have together.
    pub memory: MemoryLimit,
    /// How long a component may take until it has made the head of its response.
    pub request_timeout: Duration,
    /// How long a stopping server waits for requests in flight.
    pub drain_timeout: Duration,
    /// Connections at once; by default 1024, or fewer if the process may not open enough files. One more connection
    /// closes the one that has been idle longest.
    pub connections: Option<usize>,
    /// How long a client may take for the head of a request. For the first request, the time starts with the connection.
    pub header_timeout: Duration,
    /// How long a client may keep a connection idle between two requests.
    pub idle_timeout: Duration,
    /// How long a client may pause in the middle of a request's body.
    pub body_timeout: Duration,
    /// Bytes of a request's head.
    pub header_size: usize,
}

impl Limits {
    /// Returns the number of connections at once.
    pub(crate) fn max_connections(&self) -> usize {
        self.connections.unwrap_or(DEFAULT_CONNECTIONS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: MemoryLimit::Fixed(DEFAULT_MEMORY),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(25),
            connections: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: DEFAULT_IDLE,
            body_timeout: Duration::from_secs(10),
            header_size: 32 << 10,
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
