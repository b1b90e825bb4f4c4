//! The programs of a Kubernetes node, of Kubernetes itself and of a cluster's add-ons, built from pinned Go modules.
//! Every machine thus has the same versions, and downloads source code only.
//!
//! The programs are kept outside of the repository, in a directory for each group whose name contains a hash of its
//! inputs. All clones on a machine share them, and a new version is built beside the old one.
//!
//! - [`manifests`]: the add-ons' own manifests, which are part of their modules
//! - [`progress`]: shows the progress of a build, because the longest takes minutes

mod manifests;
mod progress;

use crate::{cache, workspace};
use anyhow::{Context, Result, ensure};
use manifests::Manifests;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::environment::{self, Variable};
use visits_support::programs;

/// Modules that are built with the same flags into one directory.
pub(crate) struct Group {
    /// The beginning of the directory's name.
    name: &'static str,
    /// Names a directory of programs that are used instead, to try other versions.
    instead: Variable,
    /// The programs, as a noun phrase.
    what: &'static str,
    /// How long the build takes on two cores if nothing is compiled yet.
    takes: &'static str,
    /// The modules' directories, below the repository's top. The programs are the `tool` lines of their go.mod.
    modules: &'static [&'static str],
    /// Packages whose tests become programs too: the directory of one of `modules`, the package, and the program's name.
    tests: &'static [(&'static str, &'static str, &'static str)],
    flags: &'static [&'static str],
    /// Whether the programs are linked with C libraries. The others can run in an image with nothing else in it.
    c: bool,
    /// The module of the first directory whose version the programs report as their own.
    stamp: Option<&'static str>,
    manifests: &'static [Manifests],
}

/// The conformance tests for HTTP/2 servers.
pub(crate) const H2SPEC: Group = Group {
    name: "h2spec",
    instead: environment::H2SPEC_PROGRAMS,
    what: "h2spec",
    takes: "half a minute",
    modules: &["tests/host/go/h2spec"],
    tests: &[],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// The programs that judge histories of visits, and metrics.
pub(crate) const JUDGES: Group = Group {
    name: "judges",
    instead: environment::JUDGES_PROGRAMS,
    what: "the judges of histories and metrics",
    takes: "twenty seconds",
    modules: &[
        "tests/counting/go/linearizable",
        "tests/counting/go/promlint",
    ],
    tests: &[],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// A linter of manifests.
pub(crate) const KUBE_SCORE: Group = Group {
    name: "kube-score",
    instead: environment::KUBE_SCORE_PROGRAMS,
    what: "kube-score",
    takes: "minute",
    modules: &["tests/manifests/judges/kube-score"],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
    tests: &[],
};

/// The programs that a node runs. crictl is a module of its own, because it requires other versions of some packages
/// than containerd does. Without the tag, runc refuses a pod's default system call filter.
pub(crate) const NODE: Group = Group {
    name: "node",
    instead: environment::NODE_PROGRAMS,
    what: "containerd, runc, CNI plugins and crictl",
    takes: "five minutes",
    modules: &["tests/containerd/go/node", "tests/containerd/go/crictl"],
    tests: &[],
    flags: &["-tags", "seccomp"],
    c: true,
    stamp: None,
    manifests: &[],
};

/// Kubernetes and etcd, which share most of their packages.
pub(crate) const KUBERNETES: Group = Group {
    name: "kubernetes",
    instead: environment::KUBERNETES_PROGRAMS,
    what: "Kubernetes and etcd",
    takes: "six minutes",
    modules: &["cluster/go/kubernetes"],
    tests: &[],
    flags: &[],
    c: false,
    stamp: Some("k8s.io/kubernetes"),
    manifests: &[],
};

/// The add-ons of a cluster. Each is a module of its own that requires the same versions of Kubernetes' packages if it
/// can, so that those are compiled once.
pub(crate) const ADDONS: Group = Group {
    name: "addons",
    instead: environment::ADDONS,
    what: "MetalLB, local-path-provisioner, CoreDNS and metrics-server",
    takes: "three minutes",
    modules: &[
        "cluster/go/localpath",
        "cluster/go/metallb",
        "cluster/go/coredns",
        "cluster/go/metrics",
    ],
    tests: &[],
    flags: &[],
    c: false,
    stamp: None,
    manifests: manifests::ADDONS,
};

/// The test suites of containerd and of the CRI, and a registry for those that pull their images.
pub(crate) const CONFORMANCE: Group = Group {
    name: "conformance",
    instead: environment::CONFORMANCE_PROGRAMS,
    what: "the suites of containerd and the CRI",
    takes: "four minutes",
    modules: &[
        "tests/conformance/go/containerd",
        "tests/conformance/go/critest",
        "tests/conformance/go/registry",
        "tests/conformance/go/images",
    ],
    tests: &[
        (
            "tests/conformance/go/containerd",
            "github.com/containerd/containerd/v2/integration/client",
            "client.test",
        ),
        (
            "tests/conformance/go/containerd",
            "github.com/containerd/containerd/v2/integration",
            "cri.test",
        ),
        (
            "tests/conformance/go/critest",
            "sigs.k8s.io/cri-tools/cmd/critest",
            "critest.test",
        ),
    ],
    flags: &[],
    c: false,
    stamp: None,
    manifests: &[],
};

/// Kubernetes' own tests, the program that runs them in parallel, and the programs of their images.
pub(crate) const KUBERNETES_TESTS: Group = Group {
    name: "kubernetes-tests",
    instead: environment::KUBERNETES_TESTS,
    what: "Kubernetes' own tests",
    takes: "four minutes",
    modules: &["tests/conformance/go/kubernetes-e2e"],
    tests: &[(
        "tests/conformance/go/kubernetes-e2e",
        "k8s.io/kubernetes/test/e2e",
        "e2e.test",
    )],
    flags: &[],
    c: false,
    stamp: Some("k8s.io/kubernetes"),
    manifests: manifests::AGNHOST,
};

/// The page with releases of Go.
pub(crate) const DOWNLOADS: &str = "https://go.dev/dl";

/// The package in which Kubernetes' programs keep the version that they report.
const VERSION: &str = "k8s.io/component-base/version";

impl Group {
    /// Returns why the programs cannot be built here, if so: there is no Go, or it is too old.
    pub(crate) fn missing(&self) -> Option<String> {
        match self.given() {
            Ok(None) => self.go_versions().err(),
            given => given.err(),
        }
        .map(|error| format!("{error:#}"))
    }

    /// Returns the directory that the environment names instead.
    fn given(&self) -> Result<Option<PathBuf>> {
        self.instead.get().map(|_| self.instead.path()).transpose()
    }

    /// Returns the directory of the programs, after building them if no earlier run has.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        cache::filled(self.directory()?, |partial| {
            eprintln!(
                "building {} from source: some {} the first time",
                self.what, self.takes
            );
            self.fill(partial)
        })
    }

    /// Returns the programs' names, as a noun phrase.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    /// Returns the directory of the programs if they are built.
    pub(crate) fn built(&self) -> Result<Option<PathBuf>> {
        if let Some(given) = self.given()? {
            return Ok(Some(given));
        }
        let directory = self.directory()?;
        Ok(directory.is_dir().then_some(directory))
    }

    fn directory(&self) -> Result<PathBuf> {
        let name = self.directory_name(&self.go_versions()?)?;
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
        for (module, package, name) in self.tests {
            let mut list = self.go(module);
            list.args(["list", "-deps", "-test"])
                .args(self.flags)
                .arg(package);
            let mut build = self.go(module);
            build.args(["test", "-c"]).args(&flags).arg("-o");
            build.arg(directory.join(name)).arg(package);
            progress::build(list, build, directory).with_context(|| (*package).to_owned())?;
        }
        self.manifests.iter().try_for_each(|manifests| {
            let go = self.go(manifests.below);
            manifests.copy(go, &directory.join("manifests"))
        })
    }

    /// Returns the flags of every build. Without symbols the programs take half of the space.
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

    /// Returns the version of a module that the first go.mod requires.
    fn version_of(&self, module: &str) -> Result<String> {
        required_version(self.modules[0], module)
    }

    /// Returns a hash of everything that the programs depend on. Another version of Rust may hash differently, which
    /// costs a build.
    fn directory_name(&self, go_versions: &str) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        (self.flags()?, self.c, go_versions).hash(&mut hasher);
        if !self.tests.is_empty() {
            self.tests.hash(&mut hasher);
        }
        for module in self.modules {
            cache::hash_files(&workspace::root().join(module), &mut hasher)?;
        }
        Ok(format!("{}-{:016x}", self.name, hasher.finish()))
    }

    /// Returns the versions of Go that build the modules. A Go that is too old downloads a newer one or fails, depending
    /// on its configuration.
    fn go_versions(&self) -> Result<String> {
        ensure!(
            programs::find(&["go"]).is_some(),
            "Go is not installed: install it from {DOWNLOADS}"
        );
        let mut versions = String::new();
        for module in self.modules {
            let output = self
                .go(module)
                .arg("version")
                .output()
                .context("cannot run go")?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.success(),
                "{}: install a newer Go from {DOWNLOADS}",
                error.trim()
            );
            versions += &String::from_utf8_lossy(&output.stdout);
        }
        Ok(versions)
    }

    fn go(&self, module: &str) -> Command {
        let mut go = Command::new("go");
        go.current_dir(workspace::root().join(module));
        // Settings for other projects on this machine must not change the programs.
        go.env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", if self.c { "1" } else { "0" });
        go
    }
}

/// Returns the version of a module that the go.mod in this directory requires.
pub(crate) fn required_version(directory: &str, module: &str) -> Result<String> {
    let path = workspace::root().join(directory).join("go.mod");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let version = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(module)).then(|| words.next())?
    });
    version
        .map(str::to_owned)
        .with_context(|| format!("{}: {module} is not required", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn kubernetes_reports_the_version_that_its_go_mod_requires() {
        let flags = KUBERNETES.flags().expect("go.mod is well formed").join(" ");
        let version = KUBERNETES
            .version_of("k8s.io/kubernetes")
            .expect("is there");
        assert!(flags.contains(&format!("gitVersion={version} ")), "{flags}");
        assert!(flags.contains("gitMajor=1 "), "{flags}");
    }

    #[test]
    fn each_group_has_a_directory_of_its_own_for_each_version_of_go() {
        let mut names = BTreeSet::new();
        for group in [
            H2SPEC,
            JUDGES,
            NODE,
            KUBERNETES,
            ADDONS,
            CONFORMANCE,
            KUBERNETES_TESTS,
        ] {
            for module in group.modules {
                let file = workspace::root().join(module).join("go.mod");
                assert!(file.is_file(), "{} does not exist", file.display());
            }
            for go in ["go1.26.8", "go1.27.0"] {
                let name = group.directory_name(go).expect("its modules are readable");
                assert!(names.insert(name), "{} has this name twice", group.what);
            }
        }
    }
}
