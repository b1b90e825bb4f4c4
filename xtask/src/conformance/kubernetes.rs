//! Kubernetes' own tests, on a cluster whose node uses the runtime for every pod that names none. With preopen, the shim
//! thus runs the pause containers, the add-ons and all containers of the tests.

use super::outcome::Outcomes;
use super::reports;
use super::suite::{Run, Runtime, Suite, Versions};
use super::{node, watch};
use crate::cluster::{self, Cluster};
use crate::setup::{self, CLUSTER, KUBERNETES_IMAGES};
use crate::test_cluster::TestCluster;
use crate::{cargo, command, go, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::environment;

/// The tests: conformance of the node, and what else depends on the runtime.
const TESTS: &str = r"\[NodeConformance\].*\[Conformance\]|StatefulSet.*\[Conformance\]|Pod InPlace Resize.*\[Conformance\]|remote command execution|Lifecycle Hook|Probing container|Ephemeral Containers|RuntimeClass|Mount propagation";
/// Tests that disturb others. (No test of image volumes can run, because their image is not built.)
const SKIPPED: &str = r"\[Serial\]|\[Disruptive\]|ImageVolume";
/// How many tests run at a time. Each waits most of its time.
const AT_A_TIME: &str = "3";
/// The program that writes the images.
const IMAGES: &str = "kubernetes-images";

/// The suite's name.
pub(super) const NAME: &str = "kubernetes";

pub(crate) struct Kubernetes;

impl Suite for Kubernetes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn prepare(&self, built: bool) -> Result<Versions> {
        if !built {
            build()?;
        }
        let cluster = Cluster::find()?;
        let programs = go::KUBERNETES_TESTS.build()?;
        write_images(&programs)?;
        let path = |variable| cluster.environment().path(variable);
        let kubernetes = path(environment::KUBERNETES_PROGRAMS).context("no Kubernetes")?;
        let node = path(environment::NODE_PROGRAMS).context("no containerd")?;
        let kubernetes = version(&kubernetes.join("kubelet"))?;
        Ok(Versions {
            suite: version(&programs.join("e2e.test"))?,
            platform: format!("Kubernetes {kubernetes} and {}", node::containerd(node)?),
        })
    }

    fn run(&self, run: &Run) -> Result<Outcomes> {
        let cluster = TestCluster::new(Cluster::find()?, "cluster-conformance", "ipv4")?
            .with_runtime(run.runtime.name());
        let ran = on(&cluster, run);
        cluster.keep_logs();
        cluster.down()?;
        ran
    }
}

fn build() -> Result<()> {
    if let Some(missing) = cluster::missing() {
        bail!("a cluster cannot run here: {missing}");
    }
    CLUSTER.prepare()?;
    KUBERNETES_IMAGES.prepare()?;
    Cluster::build()?;
    eprintln!("==> Kubernetes' own tests and their images");
    command::run(cargo::programs(&[IMAGES])?)?;
    go::KUBERNETES_TESTS.build().map(drop)
}

/// Runs the tests on a cluster, after bringing it up.
fn on(cluster: &TestCluster, run: &Run) -> Result<Outcomes> {
    cluster.up()?;
    for image in archives()? {
        cluster.import(&image)?;
    }
    check_runtime(cluster, run.runtime)?;
    let programs = go::KUBERNETES_TESTS.build()?;
    let report = run.directory.join("report.json");
    let mut tests = Command::new(programs.join("ginkgo"));
    tests
        .args(["--no-color", "--keep-going", "--procs", AT_A_TIME])
        .args(["--timeout", "90m", "--output-dir"])
        .arg(run.directory)
        .args(["--json-report", "report.json"])
        .args(["--focus", run.only.unwrap_or(TESTS), "--skip", SKIPPED])
        .arg(programs.join("e2e.test"))
        .args(["--", "--provider", "skeleton", "--num-nodes", "1"])
        .args(["--disable-log-dump", "--kubeconfig"])
        .arg(cluster.kubeconfig());
    // The report has the outcomes, whatever the exit code is.
    let output = run.directory.join("output.log");
    watch::run(tests, &output)?;
    reports::ginkgo(&report).with_context(|| format!("see {}", output.display()))
}

/// Fails unless the runtime runs every pod that is there, and no other does.
fn check_runtime(cluster: &TestCluster, runtime: Runtime) -> Result<()> {
    let other = match runtime {
        Runtime::Runc => "containerd-shim-preopen",
        Runtime::Preopen => "containerd-shim-runc",
    };
    let list = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'";
    let list = cluster.node(&["sh", "-c", list])?;
    ensure!(
        !list.contains(other),
        "a pod of the cluster does not run with {}",
        runtime.name()
    );
    Ok(())
}

/// Writes the images that the tests name.
fn write_images(programs: &Path) -> Result<()> {
    let mut list = Command::new(programs.join("e2e.test"));
    list.arg("--list-images");
    let names = visits_support::command::run(list)?;
    let busybox = setup::busybox().context("static busybox is not installed")?;
    let directory = images()?;
    let _ = std::fs::remove_dir_all(&directory);
    let mut write = Command::new(workspace::program(IMAGES)?);
    write
        .arg(programs)
        .arg(busybox)
        .arg(directory)
        .args(names.lines());
    command::run(write)
}

/// Returns the directory of the images.
fn images() -> Result<PathBuf> {
    Ok(workspace::target()?.join("conformance/kubernetes-images"))
}

fn archives() -> Result<Vec<PathBuf>> {
    let directory = images()?;
    let entries = std::fs::read_dir(&directory)
        .with_context(|| format!("cannot read the directory {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Returns the version that a program of Kubernetes prints after its name, if any.
fn version(program: &Path) -> Result<String> {
    let mut print = Command::new(program);
    print.arg("--version");
    let line = visits_support::command::run(print)?;
    let version = line.split_whitespace().last();
    version
        .map(str::to_owned)
        .with_context(|| format!("{} printed no version", program.display()))
}
