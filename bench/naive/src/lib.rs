//! The counter that one would write first: read the number, add one, write it back.
//!
//! Two instances that read the same number answer it twice, and one visit is lost. Nothing is synced, so a power cut
//! loses visits, too. `cargo xtask bench` counts how many visits it loses.
#![cfg(target_family = "wasm")]

use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use std::fs;

const FILE: &str = "/app/persistent/visits.bin";

#[http_service]
async fn handle(_request: Request) -> anyhow::Result<impl IntoResponse> {
    let visits = match fs::read(FILE) {
        Ok(bytes) => u64::from_le_bytes(bytes[..].try_into()?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    let visits = visits + 1;
    fs::write(FILE, visits.to_le_bytes())?;
    Ok(format!("{visits}\n"))
}
