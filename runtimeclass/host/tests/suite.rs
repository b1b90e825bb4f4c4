//! Runs the suite of the host (`tests/host` in the workspace) on the program of this build.
//!
//! `cargo xtask mutants` changes this package, and cargo-mutants builds the tests of what it changes. The suite belongs to
//! another package, so that `cargo test` on the workspace builds the host without the features of its tests.

use std::os::unix::process::CommandExt;
use std::process::Command;
use visits_support::environment::{HOST, HOST_SUITE};

fn main() {
    let suite = HOST_SUITE
        .path()
        .unwrap_or_else(|error| panic!("{error:#}"));
    let error = Command::new(&suite)
        .args(std::env::args_os().skip(1))
        .env(HOST.name(), env!("CARGO_BIN_EXE_preopen"))
        .exec();
    panic!("cannot run {}: {error}", suite.display());
}
