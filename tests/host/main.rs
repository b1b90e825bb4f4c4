//! Tests of real host processes, each on a directory and a port of its own.

mod cache;
mod crowd;
mod descriptors;
mod drain;
mod families;
mod guest;
mod headers;
mod http2;
mod input;
mod limits;
mod manifest;
mod proxies;
mod responses;
mod sdks;
mod slow;
mod tls;
mod variables;
