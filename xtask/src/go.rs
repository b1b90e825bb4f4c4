//! The programs of a Kubernetes node, of Kubernetes itself and of a cluster's add-ons, built from pinned Go modules.
//! Every machine thus has the same versions, and downloads source code only.
//!
//! The programs are kept outside of the repository, in a directory for each group whose name contains a hash of its
//! inputs. All clones on a machine share them, and a new version is built beside the old one.
//!
//! - [`groups`]: the programs
//! - [`manifests`]: the add-ons' own manifests, which are part of their modules
//! - [`progress`]: shows the progress of a build, because the longest takes minutes

mod groups;
mod manifests;
mod progress;

pub(crate) use groups::*;

use crate::{cache, workspace};
use anyhow::{Context, Result, ensure};
use manifests::Manifests;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::environment::Variable;
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
            OLDER_NODE,
            OLDER_KUBERNETES,
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
