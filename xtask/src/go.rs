//! The programs of a Kubernetes node, of Kubernetes itself and of a cluster's add-ons, built from pinned Go modules:
//! known versions on every machine, without a download of anything that somebody else has built.
//!
//! They are kept outside of the repository, each group under the content of what it is built from: every clone on a
//! machine shares them, and a change of a version builds that group anew beside what is there.
//!
//! - [`manifests`]: the add-ons' own manifests, which their modules hold
//! - [`progress`]: what a build tells while it runs, for the longest takes minutes

mod manifests;
mod progress;

use crate::{cache, workspace};
use anyhow::{Context, Result, bail, ensure};
use manifests::Manifests;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules that are built with the same flags into one directory.
pub(crate) struct Group {
    /// What the directory's name begins with.
    name: &'static str,
    /// The variable that names a directory of programs to use instead, for other versions than these.
    instead: &'static str,
    /// What is in it, and how long it takes when nothing is compiled yet, on two cores.
    what: &'static str,
    takes: &'static str,
    /// Each with its `tool` lines, below the repository's top.
    modules: &'static [&'static str],
    flags: &'static [&'static str],
    /// Whether the programs are linked with C libraries. Those that are not run in an image with nothing else in it.
    c: bool,
    /// The module of the first directory whose version its programs are to tell.
    stamp: Option<&'static str>,
    manifests: &'static [Manifests],
}

/// The conformance tests for servers of HTTP/2.
pub(crate) const H2SPEC: Group = Group {
    name: "h2spec",
    instead: "H2SPEC_BIN_DIR",
    what: "h2spec",
    takes: "half a minute",
    modules: &["tests/host/go/h2spec"],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// What a node runs. crictl is a module of its own, for it wants other versions of the same packages than containerd
/// does. Without the tag, runc refuses a pod's default system call filter.
pub(crate) const NODE: Group = Group {
    name: "node",
    instead: "NODE_BIN_DIR",
    what: "containerd, runc, CNI plugins and crictl",
    takes: "five minutes",
    modules: &["tests/containerd/go/node", "tests/containerd/go/crictl"],
    flags: &["-tags", "seccomp"],
    c: true,
    stamp: None,
    manifests: &[],
};

/// Kubernetes, and etcd with it: they share most of what is compiled.
pub(crate) const KUBERNETES: Group = Group {
    name: "kubernetes",
    instead: "KUBERNETES_BIN_DIR",
    what: "Kubernetes and etcd",
    takes: "six minutes",
    modules: &["cluster/go/kubernetes"],
    flags: &[],
    c: false,
    stamp: Some("k8s.io/kubernetes"),
    manifests: &[],
};

/// What makes a cluster of it: each a module of its own, with the versions of Kubernetes' packages where it takes
/// them, so that those are compiled once.
pub(crate) const ADDONS: Group = Group {
    name: "addons",
    instead: "ADDONS_BIN_DIR",
    what: "MetalLB, local-path-provisioner, CoreDNS and metrics-server",
    takes: "three minutes",
    modules: &[
        "cluster/go/localpath",
        "cluster/go/metallb",
        "cluster/go/coredns",
        "cluster/go/metrics",
    ],
    flags: &[],
    c: false,
    stamp: None,
    manifests: manifests::ADDONS,
};

/// The page with releases of Go.
pub(crate) const DOWNLOADS: &str = "https://go.dev/dl";

/// Where Kubernetes' programs keep the version that they tell.
const VERSION: &str = "k8s.io/component-base/version";

impl Group {
    /// Why it cannot be built here, if it cannot: there is no Go, or it is too old.
    pub(crate) fn missing(&self) -> Option<String> {
        match self.given() {
            Ok(None) => self.go_versions().err(),
            given => given.err(),
        }
        .map(|error| format!("{error:#}"))
    }

    /// The directory that the environment names instead.
    fn given(&self) -> Result<Option<PathBuf>> {
        let Some(directory) = std::env::var_os(self.instead) else {
            return Ok(None);
        };
        let directory = std::path::absolute(&directory)
            .with_context(|| format!("{}={}", self.instead, directory.display()))?;
        ensure!(
            directory.is_dir(),
            "{}={}: no such directory; it would hold {}",
            self.instead,
            directory.display(),
            self.what
        );
        Ok(Some(directory))
    }

    /// Builds what is not there already; the directory of its programs.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let directory = self.directory()?;
        if directory.is_dir() {
            return Ok(directory);
        }
        eprintln!(
            "building {} from source: some {} the first time",
            self.what, self.takes
        );
        let partial = directory.with_extension(std::process::id().to_string());
        std::fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
        // Whole or absent. That another run was faster is as good.
        let placed =
            self.fill(&partial)
                .and_then(|()| match std::fs::rename(&partial, &directory) {
                    Err(error) if !directory.is_dir() => {
                        Err(error).with_context(|| format!("rename to {}", directory.display()))
                    }
                    _ => Ok(()),
                });
        let _ = std::fs::remove_dir_all(&partial);
        placed.map(|()| directory)
    }

    /// What is in it.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    /// The directory of its programs, if it is built.
    pub(crate) fn built(&self) -> Result<Option<PathBuf>> {
        if let Some(given) = self.given()? {
            return Ok(Some(given));
        }
        let directory = self.directory()?;
        Ok(directory.is_dir().then_some(directory))
    }

    fn directory(&self) -> Result<PathBuf> {
        let name = format!("{}-{}", self.name, self.key()?);
        Ok(cache::directory()?.join("go").join(name))
    }

    fn fill(&self, directory: &Path) -> Result<()> {
        let flags = self.flags()?;
        for module in self.modules {
            let mut list = self.go(module);
            list.args(["list", "-deps"]).args(self.flags).arg("tool");
            let mut build = self.go(module);
            build
                .args(["build", "-v"])
                .args(&flags)
                .arg("-o")
                .arg(directory)
                .arg("tool");
            progress::build(list, build, directory).with_context(|| (*module).to_owned())?;
        }
        self.manifests.iter().try_for_each(|manifests| {
            let go = self.go(manifests.below);
            manifests.copy(go, &directory.join("manifests"))
        })
    }

    /// What is given to every build. Without symbols the whole takes half of the space.
    fn flags(&self) -> Result<Vec<String>> {
        let mut ldflags = "-s -w".to_owned();
        if let Some(module) = self.stamp {
            let version = self.version_of(module)?;
            let mut numbers = version.trim_start_matches('v').split('.');
            let (major, minor) = (numbers.next(), numbers.next());
            for (name, value) in [
                ("gitVersion", Some(version.as_str())),
                ("gitMajor", major),
                ("gitMinor", minor),
                ("gitTreeState", Some("clean")),
            ] {
                ldflags += &format!(" -X {VERSION}.{name}={}", value.unwrap_or_default());
            }
        }
        let mut flags = vec!["-trimpath".to_owned(), "-ldflags".to_owned(), ldflags];
        flags.extend(self.flags.iter().map(|flag| (*flag).to_owned()));
        Ok(flags)
    }

    /// The version of a module that the first go.mod requires.
    fn version_of(&self, module: &str) -> Result<String> {
        let path = workspace::root().join(self.modules[0]).join("go.mod");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let version = text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(module)).then(|| words.next())?
        });
        version
            .map(str::to_owned)
            .with_context(|| format!("{}: {module} is not required", path.display()))
    }

    /// A name for everything that the result depends on. A new Rust may give another, which costs a build.
    fn key(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        (self.flags()?, self.c, self.go_versions()?).hash(&mut hasher);
        for module in self.modules {
            cache::hash_files(&workspace::root().join(module), &mut hasher)?;
        }
        Ok(format!("{:016x}", hasher.finish()))
    }

    /// The Go that builds the modules. One that is too old says so, or fetches a newer one, as it is set up to.
    fn go_versions(&self) -> Result<String> {
        if workspace::program(&["go"]).is_none() {
            bail!("there is no Go: install it from {DOWNLOADS}");
        }
        let mut versions = String::new();
        for module in self.modules {
            let output = self.go(module).arg("version").output().context("run go")?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.success(),
                "{}: install a newer one from {DOWNLOADS}",
                error.trim()
            );
            versions += &String::from_utf8_lossy(&output.stdout);
        }
        Ok(versions)
    }

    fn go(&self, module: &str) -> Command {
        let mut go = Command::new("go");
        go.current_dir(workspace::root().join(module));
        // What is set for other projects on this machine must not change what is built.
        go.env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", if self.c { "1" } else { "0" });
        go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_tells_the_version_that_its_go_mod_requires() {
        let flags = KUBERNETES.flags().expect("go.mod is well formed").join(" ");
        let version = KUBERNETES
            .version_of("k8s.io/kubernetes")
            .expect("is there");
        assert!(flags.contains(&format!("gitVersion={version} ")), "{flags}");
        assert!(flags.contains("gitMajor=1 "), "{flags}");
    }

    #[test]
    fn each_group_keeps_its_programs_in_a_directory_of_its_own() {
        if NODE.missing().is_some() {
            return;
        }
        let directories: Vec<_> = [H2SPEC, NODE, KUBERNETES, ADDONS]
            .iter()
            .map(|group| group.directory().expect("the modules are there"))
            .collect();
        for (index, directory) in directories.iter().enumerate() {
            assert!(!directories[..index].contains(directory), "{directories:?}");
        }
    }
}
