//! A node for one run of a suite: `contained` gives it namespaces, and `conformance-node` (see tests/conformance) starts
//! containerd in it and runs the suite's program. Nothing of it is left but a cgroup, which is removed here.

use super::suite::{Run, Versions};
use super::watch;
use crate::setup::{self, NODE};
use crate::{cargo, command, go, toolbox, workspace};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use visits_support::cgroup;
use visits_support::environment::{self, Environment};

/// The directory of the suites' Go module.
pub(crate) const CONTAINERD: &str = "tests/conformance/go/containerd";
/// The directory of critest's Go module.
pub(crate) const CRITEST: &str = "tests/conformance/go/critest";

/// The image of the pause container, which every pod needs.
const PAUSE: &str = "pause=registry.k8s.io/pause:3.10.2";

/// A node that is to run a program.
#[derive(Default)]
pub(crate) struct Node {
    /// The images that can be pulled, as `KIND=NAME`.
    pub(crate) images: Vec<String>,
    /// Whether the program starts its own containerd.
    pub(crate) bare: bool,
    /// More variables of the program's environment.
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

/// Builds everything that a node consists of, unless `built`, and returns the version of the suite, which is that of a Go
/// module.
pub(crate) fn prepare(built: bool, directory: &str, module: &str) -> Result<Versions> {
    if !built {
        build()?;
    }
    Ok(Versions {
        suite: go::required_version(directory, module)?,
        platform: containerd(&go::NODE.build()?)?,
    })
}

/// Returns the name and version of the containerd in a directory of programs.
pub(crate) fn containerd(programs: &Path) -> Result<String> {
    let mut version = Command::new(programs.join("containerd"));
    version.arg("--version");
    let line = visits_support::command::run(version)?;
    Ok(format!("containerd {}", containerd_version(&line)?))
}

fn build() -> Result<()> {
    NODE.prepare()?;
    eprintln!("==> the toolbox, the shim and the node");
    toolbox::run()?;
    command::run(cargo::programs(&[
        "containerd-shim-preopen-v1",
        "contained",
        "conformance-node",
    ])?)?;
    eprintln!("==> containerd and the suites");
    go::NODE.build()?;
    go::CONFORMANCE.build().map(drop)
}

/// Returns the version in the line that `containerd --version` prints. A build from a Go module has no version stamped, and
/// so prints the one in its source.
fn containerd_version(line: &str) -> Result<String> {
    let version = line.split_whitespace().nth(2);
    let version = version.with_context(|| format!("containerd printed no version: {line}"))?;
    let (version, _) = version.split_once('+').unwrap_or((version, ""));
    Ok(format!("v{}", version.trim_start_matches('v')))
}

/// Returns the path of a program of the suites.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(go::CONFORMANCE.build()?.join(name))
}

impl Node {
    /// Runs a program on a new node, with its output in `output.log`.
    pub(crate) fn run(&self, run: &Run, program: &Command) -> Result<(ExitStatus, PathBuf)> {
        let cgroups = Cgroups::new()?;
        let _mount_points = MountPoints::new();
        let busybox = setup::busybox().context("static busybox is not installed")?;
        let mut environment = Environment::default();
        environment.set(environment::BUSYBOX, busybox);
        environment.set(environment::SHIM, workspace::shim()?);
        environment.set(environment::NODE_PROGRAMS, go::NODE.build()?);
        let mut command = Command::new(workspace::program("contained")?);
        command
            .arg(workspace::program("conformance-node")?)
            .args(["--cgroup", &cgroups.name, "--runtime", run.runtime.name()])
            .arg("--programs")
            .arg(go::CONFORMANCE.build()?);
        for image in self.images.iter().chain([&PAUSE.to_owned()]) {
            command.args(["--image", image]);
        }
        if !self.bare {
            command
                .arg("--log")
                .arg(run.directory.join("containerd.log"));
        }
        command
            .arg("--")
            .arg(program.get_program())
            .args(program.get_args())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(run.directory);
        environment.apply(&mut command);
        let output = run.directory.join("output.log");
        Ok((watch::run(command, &output)?, output))
    }
}

/// Directories that a node mounts its own file systems on. Those that did not exist are removed on drop.
struct MountPoints(Vec<&'static Path>);

impl MountPoints {
    fn new() -> Self {
        let mut missing = ["/opt", "/etc/cni"].map(Path::new).to_vec();
        missing.retain(|path| !path.exists());
        Self(missing)
    }
}

impl Drop for MountPoints {
    fn drop(&mut self) {
        for path in &self.0 {
            // Only an empty one is removed.
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// The cgroups of a node, removed on drop.
struct Cgroups {
    name: String,
    above: Vec<PathBuf>,
}

impl Cgroups {
    fn new() -> Result<Self> {
        Ok(Self {
            name: format!("visits-conformance-{}", std::process::id()),
            above: cgroup::own()?,
        })
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for above in &self.above {
            let cgroup = above.join(&self.name);
            if cgroup.exists()
                && let Err(error) = cgroup::remove(&cgroup)
            {
                eprintln!("note: {error:#}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_containerd_is_found_in_what_it_prints() {
        let line = "containerd github.com/containerd/containerd/v2 v2.4.2 \n";
        assert_eq!(containerd_version(line).expect("a version"), "v2.4.2");
        let line = "containerd github.com/containerd/containerd/v2 2.4.2+unknown\n";
        assert_eq!(containerd_version(line).expect("a version"), "v2.4.2");
        assert!(containerd_version("containerd\n").is_err());
    }
}
