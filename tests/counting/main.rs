//! The counter on the real host: every visit exactly once, whatever runs at once and whatever crashes.
//!
//! - `exact`: many clients, several hosts, many first starters
//! - `kills`: kill -9 under load
//! - `requests`: each request and its answer
//! - `prefetches`: requests that are no visits
//! - `volumes`: mending and refusing volumes
//! - `takeovers`: what something else has counted
//! - `obstacles`: whatever is in the way of a visit, which does not count then; needs root
//! - `mounts`: volumes that need root: full, read-only

mod exact;
mod kills;
mod mounts;
mod obstacles;
mod prefetches;
mod requests;
mod takeovers;
mod volumes;

use anyhow::Result;
use visits_tests::App;

/// An application that counts in an empty volume.
fn counter() -> Result<App> {
    App::counter()
}
