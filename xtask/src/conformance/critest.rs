//! critest, the validation of the CRI by its own project.

use super::node::{self, CRITEST, Node};
use super::outcome::Outcomes;
use super::reports;
use super::suite::{Run, Suite, Versions};
use anyhow::{Context, Result};
use std::process::Command;

/// What this kind of machine lacks (AppArmor and SELinux), what needs a plugin (NRI), and what measures.
const SKIPPED: &str = "AppArmor|SELinux|NRI|benchmark";

/// The images that the tests pull.
pub(crate) const IMAGES: [&str; 21] = [
    "busybox=registry.k8s.io/e2e-test-images/busybox:1.29-2",
    "web=registry.k8s.io/e2e-test-images/nginx:1.14-2",
    "web=registry.k8s.io/e2e-test-images/httpd:2.4.39-4",
    "user:9=registry.k8s.io/pause:3.9",
    "user:9=k8s.gcr.io/pause:3.9",
    "nonewprivs=registry.k8s.io/e2e-test-images/nonewprivs:1.3",
    "web-12003=gcr.io/k8s-staging-cri-tools/hostnet-nginx-amd64:latest",
    "user:1000=gcr.io/k8s-staging-cri-tools/test-image-predefined-group:latest",
    "user:1002=gcr.io/k8s-staging-cri-tools/test-image-user-uid:latest",
    "user:1003:1003=gcr.io/k8s-staging-cri-tools/test-image-user-uid-group:latest",
    "user:www-data=gcr.io/k8s-staging-cri-tools/test-image-user-username:latest",
    "user:www-data:www-data=gcr.io/k8s-staging-cri-tools/test-image-user-username-group:latest",
    "busybox=gcr.io/k8s-staging-cri-tools/test-image-latest:latest",
    "busybox=gcr.io/k8s-staging-cri-tools/test-image-tag:test",
    "busybox=gcr.io/k8s-staging-cri-tools/test-image-tag:all",
    "user:1=gcr.io/k8s-staging-cri-tools/test-image-1:latest",
    "user:2=gcr.io/k8s-staging-cri-tools/test-image-2:latest",
    "user:3=gcr.io/k8s-staging-cri-tools/test-image-3:latest",
    "busybox=gcr.io/k8s-staging-cri-tools/test-image-tags:1",
    "busybox=gcr.io/k8s-staging-cri-tools/test-image-tags:2",
    "busybox=gcr.io/k8s-staging-cri-tools/test-image-tags:3",
];

/// The socket of the node's containerd.
pub(crate) const ENDPOINT: &str = "unix:///run/containerd/containerd.sock";

pub(crate) struct Critest;

impl Suite for Critest {
    fn name(&self) -> &'static str {
        "critest"
    }

    fn prepare(&self, built: bool) -> Result<Versions> {
        node::prepare(built, CRITEST, "sigs.k8s.io/cri-tools")
    }

    fn run(&self, run: &Run) -> Result<Outcomes> {
        const REPORT: &str = "report.json";
        // Most tests wait most of the time.
        let mut critest = Command::new(node::program("ginkgo")?);
        critest
            .args(["-v", "--no-color", "--nodes=4", "--timeout=40m"])
            .args([
                "--skip",
                SKIPPED,
                "--flake-attempts",
                &run.attempts.to_string(),
            ])
            .args(["--json-report", REPORT, "--output-dir"])
            .arg(run.directory);
        if let Some(only) = run.only {
            critest.args(["--focus", only]);
        }
        critest
            .arg(node::program("critest.test")?)
            .args(["--", "-runtime-handler", run.runtime.name()])
            .args(["-runtime-endpoint", ENDPOINT]);
        let node = Node {
            images: IMAGES.map(str::to_owned).to_vec(),
            ..Node::default()
        };
        // The report has the outcomes, whatever the exit code is.
        let (_, output) = node.run(run, &critest)?;
        reports::ginkgo(&run.directory.join(REPORT))
            .with_context(|| format!("see {}", output.display()))
    }
}
