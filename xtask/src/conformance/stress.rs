//! containerd-stress: containers that are created, entered and removed as fast as possible, several at a time.

use super::node::{self, CONTAINERD, Node};
use super::outcome::{Outcome, Outcomes};
use super::suite::{Run, Suite, Versions};
use anyhow::Result;
use std::process::Command;

/// The image that the program pulls.
const BUSYBOX: &str = "ghcr.io/containerd/busybox:1.36";

/// The name of the one test.
const TEST: &str = "60 s of containers with an exec each, 4 at a time";

pub(crate) struct Stress;

impl Suite for Stress {
    fn name(&self) -> &'static str {
        "containerd-stress"
    }

    fn prepare(&self, built: bool) -> Result<Versions> {
        node::prepare(built, CONTAINERD, "github.com/containerd/containerd/v2")
    }

    fn run(&self, run: &Run) -> Result<Outcomes> {
        let mut stress = Command::new(node::program("containerd-stress")?);
        stress
            .args(["--runtime", run.runtime.kind(), "--image", BUSYBOX])
            .args(["--duration", "60s", "--concurrent", "4", "--exec"]);
        let node = Node {
            images: vec![format!("busybox={BUSYBOX}")],
            ..Node::default()
        };
        let (status, _) = node.run(run, &stress)?;
        let outcome = if status.success() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        Ok([(TEST.to_owned(), outcome)].into())
    }
}
