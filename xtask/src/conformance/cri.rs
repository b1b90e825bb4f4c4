//! containerd's integration suite of its CRI plugin: restarts, killed shims, many pods, updates of limits.

use super::node::{self, CONTAINERD, Node};
use super::outcome::Outcomes;
use super::reports;
use super::suite::{Run, Suite, Versions};
use anyhow::Result;
use std::process::Command;

/// The images that the tests pull.
const IMAGES: [&str; 6] = [
    "busybox=ghcr.io/containerd/alpine:3.14.0",
    "busybox=ghcr.io/containerd/busybox:1.36",
    "busybox=ghcr.io/containerd/volume-copy-up:2.2",
    "busybox=ghcr.io/containerd/volume-ownership:2.1",
    "stress=registry.k8s.io/e2e-test-images/resource-consumer:1.10",
    "web=ghcr.io/containerd/nginx:1.27.0",
];

pub(crate) struct Cri;

impl Suite for Cri {
    fn name(&self) -> &'static str {
        "containerd-cri"
    }

    fn prepare(&self, built: bool) -> Result<Versions> {
        node::prepare(built, CONTAINERD, "github.com/containerd/containerd/v2")
    }

    fn run(&self, run: &Run) -> Result<Outcomes> {
        let mut cri = Command::new(node::program("cri.test")?);
        cri.args(["-test.v=test2json", "-test.timeout=40m"])
            .args(["-runtime-handler", run.runtime.name()]);
        if let Some(only) = run.only {
            cri.args(["-test.run", only]);
        }
        let node = Node {
            images: IMAGES.map(str::to_owned).to_vec(),
            ..Node::default()
        };
        let (_, output) = node.run(run, &cri)?;
        reports::go(&output)
    }
}
