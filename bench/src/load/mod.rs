//! The clients that load a server. Each runs as a program of its own, for a bounded time.
//!
//! - [`wrk`]: as many requests as the server answers, over a fixed number of connections
//! - [`oha`]: a fixed number of requests per second, whether the server keeps up or not, or as many as it answers
//! - [`h2load`]: as many requests as the server answers, over HTTP/1.1 or HTTP/2
//! - [`redis`]: the benchmark of Redis, for Redis

pub(crate) mod h2load;
pub(crate) mod oha;
pub(crate) mod redis;
pub(crate) mod wrk;
