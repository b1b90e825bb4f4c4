//! HTTP/2 with prior knowledge, on the same port as HTTP/1.
//!
//! - `requests`: concurrent requests, bodies and trailers both ways
//! - `ends`: the drain, and room for new clients
//! - `counts`: visits while the host is killed
//! - `attacks`, `flood`, `frames`: a test for each known class of attack
//! - `conformance`: h2spec

mod attacks;
mod conformance;
mod counts;
mod ends;
mod flood;
pub(crate) mod frames;
mod requests;

use crate::common::{counter, probe};
