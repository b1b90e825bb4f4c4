//! containerd's client suite: what a shim must do, through containerd's own API.

use super::node::{self, CONTAINERD, Node};
use super::outcome::Outcomes;
use super::reports;
use super::suite::{Run, Runtime, Suite, Versions};
use anyhow::Result;
use std::process::Command;

/// The tests in which a shim takes part.
const TESTS: &str =
    "TestContainer|TestTask|TestShim|TestDaemon|TestDelete|TestKill|TestUser|TestRegressionIssue";

/// The images that the suite pulls.
const IMAGES: [&str; 3] = [
    "busybox=ghcr.io/containerd/busybox:1.36",
    "busybox=ghcr.io/containerd/volume-copy-up:2.2",
    "busybox=ghcr.io/containerd/volume-ownership:2.1",
];

/// How often the suite is started until a test runs.
const ATTEMPTS: u32 = 3;

pub(crate) struct Client;

impl Suite for Client {
    fn name(&self) -> &'static str {
        "containerd-client"
    }

    fn prepare(&self, built: bool) -> Result<Versions> {
        node::prepare(built, CONTAINERD, "github.com/containerd/containerd/v2")
    }

    fn run(&self, run: &Run) -> Result<Outcomes> {
        let mut client = Command::new(node::program("client.test")?);
        client
            .args(["-test.v=test2json", "-test.timeout=30m", "-test.root"])
            .arg("-no-criu")
            .arg("-test.run")
            .arg(run.only.unwrap_or(TESTS));
        let mut node = Node {
            images: IMAGES.map(str::to_owned).to_vec(),
            bare: true,
            ..Node::default()
        };
        node.variables
            .push(("TEST_RUNTIME", run.runtime.kind().into()));
        if run.runtime == Runtime::Preopen {
            node.variables.push(("RUNC_FLAVOR", "preopen".into()));
        }
        // The suite gives its containerd four seconds to start, which a busy machine may exceed.
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (_, output) = node.run(run, &client)?;
            let outcomes = reports::go(&output);
            if outcomes.is_ok() || attempts == ATTEMPTS {
                return outcomes;
            }
        }
    }
}
