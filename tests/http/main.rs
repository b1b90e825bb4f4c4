//! HTTP tests against real host processes, each on a directory and a port of its own.

mod host_cache;
mod host_crowd;
mod host_descriptors;
mod host_drain;
mod host_families;
mod host_guest;
mod host_headers;
mod host_input;
mod host_limits;
mod host_manifest;
mod host_responses;
mod host_sdks;
mod host_slow;
mod host_tls;
mod host_variables;
mod http2;
mod proxies;
