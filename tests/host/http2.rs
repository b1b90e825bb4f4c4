//! HTTP/2 with prior knowledge, on the port that serves HTTP/1.
//!
//! - `requests`: many at once, bodies and trailers both ways
//! - `ends`: the drain, and room for new clients
//! - `counts`: visits under load and under kills
//! - `attacks`: each known class of attack, with `frames` and `flood`
//! - `conformance`: h2spec

mod attacks;
mod conformance;
mod counts;
mod ends;
mod flood;
mod frames;
mod requests;

use anyhow::Result;
use visits_tests::{App, Host, artifacts};

async fn probe(arguments: &[&str]) -> Result<(App, Host)> {
    start(App::new(&artifacts::probe_wasm()?)?, arguments).await
}

async fn counter(arguments: &[&str]) -> Result<(App, Host)> {
    start(App::new(&artifacts::visits_wasm()?)?, arguments).await
}

async fn start(app: App, arguments: &[&str]) -> Result<(App, Host)> {
    let host = Host::of(&app).args(arguments.iter().copied());
    let host = host.start().await?;
    Ok((app, host))
}
