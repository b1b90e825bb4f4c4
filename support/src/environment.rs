//! The environment variables that `cargo xtask` sets and that the test suites and the cluster tool read.
//!
//! Each variable is a [`Variable`] with its name, its content and the command that sets it. The suites take every path
//! from here, so `cargo test` alone never runs a stale build: it fails and names the command to run instead.

use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The path of a file that exists.
    File,
    /// The path of a directory that exists.
    Directory,
    /// Any other text, or a path at which nothing exists yet.
    Text,
}

/// One environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    name: &'static str,
    kind: Kind,
    content: &'static str,
    command: &'static str,
}

/// Defines a constant for each variable, with its content as the documentation, and the list of all.
macro_rules! variables {
    ($($constant:ident = $name:literal, $kind:ident, $content:literal, $command:ident;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $content, ".")]
            pub const $constant: Variable = Variable {
                name: $name,
                kind: Kind::$kind,
                content: $content,
                command: $command,
            };
        )*

        /// All variables.
        pub const ALL: &[Variable] = &[$($constant),*];
    };
}

const TEST: &str = "`make test`";
const CONTAINERD: &str = "`make test ARGS=containerd`";
const CONFORMANCE: &str = "`make conformance`";
const NODE: &str = "`make test ARGS=containerd` or `make cluster`";
const CLUSTER: &str = "`make cluster`";
const CLUSTER_TEST: &str = "`make test ARGS=cluster`";
const MANIFESTS: &str = "`cargo xtask manifests`";
const MUTANTS: &str = "`cargo xtask mutants host`";
const FUZZ: &str = "`cargo xtask fuzz socket`";
const BENCH: &str = "`make bench`";
const KILLS_COMMAND: &str = "`cargo xtask kills`";
const DISKS: &str = "`cargo xtask disks`";
const FOREIGN: &str = "`cargo xtask test cluster --kubeconfig FILE --load COMMAND`";

variables! {
    HOST = "PREOPEN_BIN", File, "the host command", TEST;
    COUNTER = "VISITS_WASM", File, "the counter's component", TEST;
    PROBE = "PROBE_WASM", File, "the component that misbehaves on request", TEST;
    COMMAND = "COMMAND_WASM", File, "the WASI command that does what its arguments name", TEST;
    HELLO = "HELLO_WASM", File, "the hello-world component", TEST;
    NAIVE = "NAIVE_WASM", File, "the component that counts without claims", TEST;
    SDK_COUNTER = "VISITS_SDK_WASM", File, "the counter behind spin-sdk's macro", BENCH;
    NATIVE_PEER = "NATIVE_PEER_BIN", File, "the native server that the counter is compared with", BENCH;
    PYTHON_PEER = "PYTHON_PEER", File, "the Python app that the counter is compared with", BENCH;
    WASMTIME = "WASMTIME_BIN", File, "wasmtime", BENCH;
    OHA = "OHA_BIN", File, "the load generator oha", BENCH;
    SDKS = "SDKS_DIR", Directory, "the components of other SDKs", TEST;
    HOST_SUITE = "HOST_SUITE_BIN", File, "the suite of the host", MUTANTS;
    MUTATIONS = "VISITS_MUTATIONS", Text, "the number of mutated inputs on the host's socket", FUZZ;
    HOST_CACHE = "PREOPEN_TEST_CACHE", Text, "the directory of compiled components that all hosts of one run share", TEST;
    H2SPEC = "H2SPEC_BIN", File, "the conformance tests for HTTP/2 servers", TEST;
    H2SPEC_PROGRAMS = "H2SPEC_BIN_DIR", Directory, "a directory with h2spec, which is used instead of building it", TEST;
    KUBE_SCORE_PROGRAMS = "KUBE_SCORE_BIN_DIR", Directory, "a directory with kube-score, which is used instead of building it", MANIFESTS;
    LINEARIZABLE = "LINEARIZABLE_BIN", File, "the program that judges histories", TEST;
    PROMLINT = "PROMLINT_BIN", File, "the linter of metrics", TEST;
    JUDGES_PROGRAMS = "JUDGES_BIN_DIR", Directory, "a directory with the programs that judge histories and metrics, which are used instead of building them", TEST;
    KILLS = "VISITS_KILLS", Text, "how many kills each test of kills makes", KILLS_COMMAND;
    KILLS_SEED = "VISITS_KILLS_SEED", Text, "the number from which the moments of kills come", KILLS_COMMAND;
    NGINX = "NGINX_BIN", File, "the reverse proxy nginx", TEST;
    HAPROXY = "HAPROXY_BIN", File, "the reverse proxy HAProxy", TEST;
    SLOWHTTPTEST = "SLOWHTTPTEST_BIN", File, "the attack tool slowhttptest", TEST;
    CHROMIUM = "CHROMIUM_BIN", File, "the browser", TEST;
    SCREENSHOTS = "SCREENSHOTS_DIR", Text, "the directory for the browser test's pictures", TEST;
    DISK_CUTS = "VISITS_DISK_CUTS", Text, "the number of power cuts on each file system", DISKS;
    DISK_SEED = "VISITS_DISK_SEED", Text, "the seed of the moments of power cuts", DISKS;
    DISK_HANG = "VISITS_DISK_HANG", Text, "how many seconds a disk hangs", DISKS;
    DISK_HISTORIES = "VISITS_DISK_HISTORIES", Text, "the directory for the histories of power cuts", DISKS;
    SHIM = "SHIM_BIN", File, "the shim", NODE;
    BUSYBOX = "BUSYBOX_BIN", File, "a statically linked busybox", NODE;
    NODE_PROGRAMS = "NODE_BIN_DIR", Directory, "containerd, ctr, runc, crictl and the CNI plugins", NODE;
    CONFORMANCE_PROGRAMS = "CONFORMANCE_BIN_DIR", Directory, "a directory with the suites of containerd and the CRI, which is used instead of building them", CONFORMANCE;
    KUBERNETES_TESTS = "KUBERNETES_TESTS_BIN_DIR", Directory, "a directory with e2e.test, ginkgo, agnhost and nonewprivs, which is used instead of building them", CONFORMANCE;
    DEBIAN_PROGRAMS = "DEBIAN_NODE_DIR", Directory, "Debian's containerd and runc, unpacked", CONTAINERD;
    CONTAINERD_LOG = "CONTAINERD_TEST_LOG", Text, "the file that keeps containerd's log", CONTAINERD;
    CONTAINERD_CGROUP = "CONTAINERD_TEST_CGROUP", Text, "the name of the cgroup above all cgroups of one run", CONTAINERD;
    KUBERNETES_PROGRAMS = "KUBERNETES_BIN_DIR", Directory, "Kubernetes' programs, kubectl and etcd", CLUSTER;
    KUBECTL = "KUBECTL_BIN", File, "the kubectl of the cluster's version", CLUSTER_TEST;
    ADDONS = "ADDONS_BIN_DIR", Directory, "the programs and manifests of the cluster's add-ons", CLUSTER;
    COUNTER_IMAGE = "VISITS_IMAGE", File, "the counter's OCI image", CLUSTER;
    INSTALLER_IMAGE = "INSTALLER_IMAGE", File, "the OCI image of the shim's installer", CLUSTER_TEST;
    CLUSTER_TOOL = "CLUSTER_BIN", File, "the cluster tool, visits-cluster", CLUSTER_TEST;
    KUBECONFIG = "KUBECONFIG", File, "access to the cluster", CLUSTER_TEST;
    LOAD = "VISITS_LOAD", Text, "the command that loads an image archive into a foreign cluster", FOREIGN;
    CLUSTER_DIRECTORY = "VISITS_CLUSTER_DIR", Text, "the directory that holds the cluster", CLUSTER;
    CLUSTER_NETWORK = "VISITS_CLUSTER_NETWORK", Text, "the number of the cluster's network", CLUSTER;
    CLUSTER_FAMILIES = "VISITS_CLUSTER_IP_FAMILIES", Text, "the address families of the cluster", CLUSTER;
}

impl Variable {
    /// Returns the variable's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the value if the variable is set and not empty.
    pub fn get(&self) -> Option<OsString> {
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// Returns the value as text.
    ///
    /// # Errors
    ///
    /// Fails if the variable is not set or not UTF-8.
    pub fn text(&self) -> Result<String> {
        let value = self.required()?;
        value
            .into_string()
            .map_err(|value| anyhow::anyhow!("{}={}: not UTF-8", self.name, value.display()))
    }

    /// Returns the value as an absolute path.
    ///
    /// # Errors
    ///
    /// Fails if the variable is not set, or if what the path names does not exist or is of another kind.
    pub fn path(&self) -> Result<PathBuf> {
        self.checked(&self.required()?)
    }

    fn required(&self) -> Result<OsString> {
        let Self {
            name,
            content,
            command,
            ..
        } = self;
        self.get().with_context(|| {
            format!("{name} is not set: run {command}, which sets it to {content}")
        })
    }

    fn checked(&self, value: &OsString) -> Result<PathBuf> {
        let Self {
            name,
            content,
            command,
            ..
        } = self;
        let path = std::path::absolute(value)
            .with_context(|| format!("{name}={}: not a path", value.display()))?;
        let (found, kind): (fn(&Path) -> bool, _) = match self.kind {
            Kind::File => (Path::is_file, "file"),
            Kind::Directory => (Path::is_dir, "directory"),
            Kind::Text => return Ok(path),
        };
        ensure!(
            found(&path),
            "{name}={}: no such {kind}: unset {name} and run {command}, which sets it to {content}",
            path.display()
        );
        Ok(path)
    }
}

/// Variables with their values, collected for the programs that are started with them.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<(Variable, OsString)>);

impl Environment {
    /// Sets a variable, in place of its earlier value.
    pub fn set(&mut self, variable: Variable, value: impl Into<OsString>) {
        self.0.retain(|(other, _)| *other != variable);
        self.0.push((variable, value.into()));
    }

    /// Sets all variables of another environment.
    pub fn extend(&mut self, other: &Self) {
        for (variable, value) in &other.0 {
            self.set(*variable, value);
        }
    }

    /// Returns the path that a variable has here, if it is set.
    pub fn path(&self, variable: Variable) -> Option<&Path> {
        let (_, value) = self.0.iter().find(|(other, _)| *other == variable)?;
        Some(Path::new(value))
    }

    /// Returns the variables whose file or directory does not exist.
    pub fn missing(&self) -> Vec<(Variable, PathBuf)> {
        let missing = |(variable, value): &(Variable, OsString)| {
            let checked = variable.checked(value);
            checked.is_err().then(|| (*variable, value.into()))
        };
        self.0.iter().filter_map(missing).collect()
    }

    /// Adds the variables to the environment of a command.
    pub fn apply(&self, command: &mut Command) {
        command.envs(
            self.0
                .iter()
                .map(|(variable, value)| (variable.name, value)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_has_a_name_of_its_own() {
        for (index, variable) in ALL.iter().enumerate() {
            let earlier = ALL[..index].iter().map(Variable::name);
            assert!(!earlier.into_iter().any(|name| name == variable.name));
        }
    }

    #[test]
    fn an_unset_variable_is_an_error_that_names_its_content_and_the_command_that_sets_it() {
        let unset = Variable {
            name: "VISITS_TEST_UNSET",
            ..SHIM
        };
        let error = unset.path().expect_err("it is not set").to_string();
        assert_eq!(
            error,
            "VISITS_TEST_UNSET is not set: run `make test ARGS=containerd` or `make cluster`, which sets it to the shim"
        );
    }

    #[test]
    fn a_path_of_another_kind_is_an_error() {
        let here = OsString::from(env!("CARGO_MANIFEST_DIR"));
        let file = Path::new(&here).join("Cargo.toml").into_os_string();
        SDKS.checked(&here).expect("a directory");
        HOST.checked(&file).expect("a file");
        let error = HOST.checked(&here).expect_err("a directory");
        let error = error.to_string();
        assert!(
            error.contains(": no such file: unset PREOPEN_BIN and run `make test`"),
            "{error}"
        );
        SDKS.checked(&file).expect_err("a file");
    }

    #[test]
    fn a_command_gets_the_last_value_of_each_variable() {
        let mut environment = Environment::default();
        environment.set(HOST, "/first");
        environment.set(SHIM, "/shim");
        let mut more = Environment::default();
        more.set(HOST, "/second");
        environment.extend(&more);
        let mut command = Command::new("true");
        environment.apply(&mut command);
        let set: Vec<_> = command.get_envs().collect();
        assert_eq!(
            set,
            [
                ("PREOPEN_BIN".as_ref(), Some("/second".as_ref())),
                ("SHIM_BIN".as_ref(), Some("/shim".as_ref())),
            ]
        );
        assert_eq!(environment.missing().len(), 2);
    }
}
