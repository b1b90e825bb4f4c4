//! What bounds a served application, each with the value it has unless the caller says otherwise.

use std::time::Duration;

/// The limits of the server and of the component behind it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of memory an instance may have.
    pub memory: usize,
    /// How long the component may take until the head of its response is made.
    pub request_timeout: Duration,
    /// How long a stopping server waits for requests in flight.
    pub drain_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long a client may take for the head of a request, and keep a connection idle between two.
    pub header_timeout: Duration,
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
            memory: 128 << 20,
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(25),
            connections: 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            header_size: 32 << 10,
            access_log: false,
        }
    }
}
