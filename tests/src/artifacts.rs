//! The files that the tests run: the built host, shim and components, and the programs of a node. `cargo xtask test`
//! builds them and passes their paths in environment variables (see [`visits_support::environment`]), so that `cargo
//! test` alone fails instead of running a stale build.

use anyhow::{Result, ensure};
use std::path::PathBuf;
use visits_support::environment;

/// Returns the path of the host command.
///
/// # Errors
///
/// This function and the others here fail if the variable is not set or names no file.
pub fn preopen() -> Result<PathBuf> {
    environment::HOST.path()
}

/// Returns the path of the counter.
pub fn visits_wasm() -> Result<PathBuf> {
    environment::COUNTER.path()
}

/// Returns the path of the component that misbehaves on request.
pub fn probe_wasm() -> Result<PathBuf> {
    environment::PROBE.path()
}

/// Returns the path of the WASI command that does what its arguments name.
pub fn command_wasm() -> Result<PathBuf> {
    environment::COMMAND.path()
}

/// Returns the path of the hello-world component.
pub fn hello_wasm() -> Result<PathBuf> {
    environment::HELLO.path()
}

/// Returns the path of the component in tests/guests/sdks with this name.
pub fn sdk_wasm(name: &str) -> Result<PathBuf> {
    let path = environment::SDKS.path()?.join(name).with_extension("wasm");
    ensure!(
        path.is_file(),
        "{} was not built: run `cargo xtask sdks`, which reports why",
        path.display()
    );
    Ok(path)
}

/// Returns the path of the component that counts without claims.
pub fn naive_wasm() -> Result<PathBuf> {
    environment::NAIVE.path()
}

/// Returns the path of the program that judges histories.
pub fn linearizable() -> Result<PathBuf> {
    environment::LINEARIZABLE.path()
}

/// Returns the path of the linter of metrics.
pub fn promlint() -> Result<PathBuf> {
    environment::PROMLINT.path()
}

/// Returns the path of the conformance tests for HTTP/2 servers.
pub fn h2spec() -> Result<PathBuf> {
    environment::H2SPEC.path()
}

/// Returns the path of the reverse proxy nginx.
pub fn nginx() -> Result<PathBuf> {
    environment::NGINX.path()
}

/// Returns the path of the attack tool slowhttptest.
pub fn slowhttptest() -> Result<PathBuf> {
    environment::SLOWHTTPTEST.path()
}

/// Returns the path of the reverse proxy HAProxy.
pub fn haproxy() -> Result<PathBuf> {
    environment::HAPROXY.path()
}

/// Returns the path of the shim.
pub fn shim() -> Result<PathBuf> {
    environment::SHIM.path()
}

/// Returns the path of a busybox that needs no library.
pub fn busybox() -> Result<PathBuf> {
    environment::BUSYBOX.path()
}

/// Returns the path of a node's program: containerd, ctr, runc, crictl or a network plugin.
pub fn node_binary(name: &str) -> Result<PathBuf> {
    Ok(node_binaries()?.join(name))
}

/// Returns the directory of a node's programs.
pub fn node_binaries() -> Result<PathBuf> {
    environment::NODE_PROGRAMS.path()
}

/// Returns the directory in which Debian's containerd and runc are unpacked.
pub fn debian_binaries() -> Result<PathBuf> {
    environment::DEBIAN_PROGRAMS.path()
}

/// Returns the path of the kubectl of the cluster's version.
pub fn kubectl() -> Result<PathBuf> {
    environment::KUBECTL.path()
}
