//! Tests of real host processes. Each test has its own directory and port.

mod cache;
mod common;
mod crowd;
mod descriptors;
mod drain;
mod families;
mod guest;
mod headers;
mod hostile;
mod http2;
mod input;
mod limits;
mod manifest;
mod memory;
mod misdeeds;
mod mounts;
mod mutations;
mod proxies;
mod responses;
mod sdks;
mod slow;
mod slowhttptest;
mod smuggling;
mod startup_check;
mod tls;
mod variables;
