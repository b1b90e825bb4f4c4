//! Applies manifests to a new cluster: the add-ons, the RuntimeClass, the counter.

use crate::state::State;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use visits_support::{command, environment, files};

/// The directory, in the cluster's own, for a copy of the add-ons' kustomization and of the projects' manifests.
const ADDONS: &str = "addons";

/// Returns `kubectl` as the cluster's administrator, on the machine.
pub(crate) fn administrator_kubectl(state: &State) -> Result<Command> {
    let mut command = Command::new(environment::KUBERNETES_PROGRAMS.path()?.join("kubectl"));
    command.arg("--kubeconfig").arg(state.kubeconfig());
    Ok(command)
}

/// Returns the same with these arguments and a time-out for each API request.
pub(crate) fn kubectl(state: &State, arguments: &[&str]) -> Result<Command> {
    let mut command = administrator_kubectl(state)?;
    // kubectl's cache must end with the cluster: the next one has the same address and perhaps another version.
    command.env("KUBECACHEDIR", state.path("kubectl"));
    command.arg("--request-timeout=30s").args(arguments);
    Ok(command)
}

/// Returns the path of a file or directory in this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    top.unwrap_or(Path::new("/")).join(path)
}

/// Applies a file (`-f`) or a kustomization (`-k`).
pub(crate) fn apply(state: &State, how: &str, path: &Path) -> Result<()> {
    apply_with(state, &[how], path)
}

fn apply_with(state: &State, how: &[&str], path: &Path) -> Result<()> {
    let mut command = kubectl(state, &["apply"])?;
    command.args(how).arg(path);
    command::run(command).map(drop)
}

/// Applies the add-ons: the volume provisioner, the load balancer, DNS and metrics.
pub(crate) fn addons(state: &State) -> Result<()> {
    let directory = state.path(ADDONS);
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    files::copy_tree(&repository("cluster/addons"), &directory)?;
    let manifests = environment::ADDONS.path()?.join("manifests");
    files::copy_tree(&manifests, &directory.join("manifests"))?;
    let network = state.network;
    let dns = network.dns_service().to_string();
    replace(&directory.join("coredns.yaml"), "DNS_ADDRESS", &dns)?;
    let any = network.families.any().to_string();
    replace(&directory.join("kustomization.yaml"), "ANY_ADDRESS", &any)?;
    // Some objects are too large for the annotation that a client-side apply adds.
    apply_with(
        state,
        &["--server-side", "--force-conflicts", "-k"],
        &directory,
    )
}

/// Applies the address ranges of the load balancer, which must be running.
pub(crate) fn balancer(state: &State) -> Result<()> {
    let pool = state.path(ADDONS).join("pool.yaml");
    let ranges = state.network.balancer();
    let ranges: Vec<String> = ranges
        .iter()
        .map(|(first, last)| format!("\"{first}-{last}\""))
        .collect();
    replace(&pool, "ADDRESSES", &ranges.join(", "))?;
    apply(state, "-f", &pool)
}

/// Replaces a word in a file by a value.
fn replace(path: &Path, word: &str, value: &str) -> Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        text.contains(word),
        "{} lacks the word {word}, which is to be replaced",
        path.display()
    );
    fs::write(path, text.replace(word, value))
        .with_context(|| format!("cannot write {}", path.display()))
}
