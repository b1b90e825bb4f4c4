//! Counts the machine instructions of one request. Their number changes by about a percent between two runs on a busy
//! machine, where times change by tens of percent, so a regression of 5 % shows.
//!
//! valgrind counts the instructions of a host from its start to its end. The difference between two runs with different
//! numbers of requests is that of the requests alone. Only instructions of user space are counted.

use crate::address::free_address;
use crate::peer::Peer;
use crate::process::Process;
use crate::running::wait_for_answer;
use crate::server::Server;
use crate::single::Single;
use crate::volume;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use std::net::SocketAddr;
use std::process::Command;
use tempfile::TempDir;
use visits_support::programs;
use visits_tests::Connection;

/// The connections of the load.
const CLIENTS: usize = 32;

/// The requests of each client in the first and in the second run.
const REQUESTS: [u64; 2] = [10, 70];

/// The arguments of valgrind, except the file for its log. The machine code of components is no file's.
const VALGRIND: [&str; 5] = [
    "--tool=cachegrind",
    "--cache-sim=no",
    "--cachegrind-out-file=/dev/null",
    "--smc-check=all-non-file",
    "--fair-sched=yes",
];

/// Returns why instructions cannot be counted here, if so.
pub(crate) fn missing() -> Option<String> {
    let found = programs::find(&["valgrind"]);
    let text =
        "cannot count instructions: valgrind is missing (on Debian: apt-get install valgrind)";
    found.is_none().then(|| text.into())
}

/// Starts the server once, because its component may have to be compiled for the processor that valgrind presents. That
/// takes a minute, and the host keeps the code.
pub(crate) fn prepare(peer: &Peer) -> Result<()> {
    run(peer, 0).map(drop)
}

/// Counts the instructions of a request to this server.
pub(crate) fn count(peer: &Peer) -> Result<f64> {
    let [few, many] = REQUESTS;
    let (first, second) = (run(peer, few)?, run(peer, many)?);
    let requests = CLIENTS as u64 * (many - few);
    Ok(second.saturating_sub(first) as f64 / requests as f64)
}

/// Returns the figure of several counts.
pub(crate) fn figure(id: &str, peer: &Peer, counts: Vec<f64>) -> Option<Single> {
    let what = format!("instructions per request: {}", peer.title);
    Single::of(id, what, "instructions", counts)
}

/// Returns all instructions of a server that answers this many requests to each client.
fn run(peer: &Peer, requests: u64) -> Result<u64> {
    let directory = TempDir::new().context("cannot create a directory for a server")?;
    std::fs::create_dir(volume::of(directory.path()))?;
    let address = free_address()?;
    let served = peer.command(address, directory.path())?;
    let log = directory.path().join("valgrind.log");
    let mut command = Command::new("valgrind");
    command
        .args(VALGRIND)
        .arg(format!("--log-file={}", log.display()))
        .arg(served.get_program())
        .args(served.get_args());
    let mut process = Process::start(command, &directory.path().join("log"))?;
    wait_for_answer(peer, &mut process, address)?;
    load(address, requests)?;
    Box::new(process).stop()?;
    let text =
        std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    parse(&text).with_context(|| format!("valgrind reported no instructions: {text}"))
}

/// Sends this many requests over each of the connections, one after the other.
#[tokio::main(flavor = "current_thread")]
async fn load(address: SocketAddr, requests: u64) -> Result<()> {
    let client = || async {
        let mut connection = Connection::open(address).await?;
        for _ in 0..requests {
            let reply = connection.get("/").await?;
            ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        }
        anyhow::Ok(())
    };
    try_join_all((0..CLIENTS).map(|_| client())).await?;
    Ok(())
}

/// Returns the instructions in a log of valgrind, such as `==42== I   refs:      1,234`.
fn parse(log: &str) -> Option<u64> {
    let line = log.lines().find(|line| line.contains("refs:"))?;
    let (_, count) = line.split_once("refs:")?;
    count.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_from_valgrinds_log() {
        let log = "==14668== Command: preopen spin.toml\n==14668== \n==14668== I   refs:      6,090,565,644\n";
        assert_eq!(parse(log), Some(6_090_565_644));
        assert_eq!(parse("==1== Command: preopen\n"), None);
    }
}
