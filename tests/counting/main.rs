//! The counter on the real host: every visit counts exactly once, during races and crashes, too.
//!
//! - `exact`: many clients, several hosts, many first starters
//! - `kills`: `kill -9` under load
//! - `linearizable`: histories that porcupine judges, and one that it must reject
//! - `metrics`: metrics that promtool's linter judges
//! - `requests`: each request and its response
//! - `prefetches`: requests that are not visits
//! - `volumes`: volumes that are mended, and volumes that are refused
//! - `takeovers`: volumes that something else has counted on
//! - `obstacles`: what prevents a visit, which then does not count; needs root
//! - `mounts`: volumes that are full, read-only or frozen; needs root

mod exact;
mod kills;
mod linearizable;
mod metrics;
mod mounts;
mod obstacles;
mod prefetches;
mod requests;
mod takeovers;
mod volumes;

use anyhow::Result;
use visits_tests::App;

/// Returns an application with the counter and an empty volume.
fn counter() -> Result<App> {
    App::counter()
}
