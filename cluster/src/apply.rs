//! What is applied to a new cluster: the add-ons, the RuntimeClass, the counter.

use crate::command;
use crate::programs::named_by;
use crate::state::State;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the kustomization of the add-ons is copied, beside the projects' own manifests.
const ADDONS: &str = "addons";

/// `kubectl` as the cluster's administrator, on the machine.
pub(crate) fn kubectl_for_people(state: &State) -> Result<Command> {
    let mut command = Command::new(named_by("KUBERNETES_BIN_DIR")?.join("kubectl"));
    command.arg("--kubeconfig").arg(state.kubeconfig());
    Ok(command)
}

/// The same with these arguments, and a deadline for each call of the API.
pub(crate) fn kubectl(state: &State, arguments: &[&str]) -> Result<Command> {
    let mut command = kubectl_for_people(state)?;
    // What it remembers of the API goes with the cluster: the next one has the same address, and may be of another version.
    command.env("KUBECACHEDIR", state.path("kubectl"));
    command.arg("--request-timeout=30s").args(arguments);
    Ok(command)
}

/// A directory of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    top.unwrap_or(Path::new("/")).join(path)
}

/// Applies a kustomization or a file, as anybody would.
pub(crate) fn apply(state: &State, how: &str, path: &Path) -> Result<()> {
    apply_with(state, &[how], path)
}

fn apply_with(state: &State, how: &[&str], path: &Path) -> Result<()> {
    let mut command = kubectl(state, &["apply"])?;
    command.args(how).arg(path);
    command::run(command).map(drop)
}

/// Applies the add-ons: the provisioner of volumes, the balancer, DNS and metrics.
pub(crate) fn addons(state: &State) -> Result<()> {
    let directory = state.path(ADDONS);
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("remove {}", directory.display()))?;
    }
    copy(&repository("cluster/addons"), &directory)?;
    copy(
        &named_by("ADDONS_BIN_DIR")?.join("manifests"),
        &directory.join("manifests"),
    )?;
    let network = state.network;
    let dns = network.dns_service().to_string();
    replace(&directory.join("coredns.yaml"), "DNS_ADDRESS", &dns)?;
    let any = network.families.any().to_string();
    replace(&directory.join("kustomization.yaml"), "ANY_ADDRESS", &any)?;
    // On the server's side: some of them are too large for the annotation that apply else makes.
    apply_with(
        state,
        &["--server-side", "--force-conflicts", "-k"],
        &directory,
    )
}

/// Applies the addresses that the balancer gives out, once it is there.
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

/// Puts a value in the place of a word in a file.
fn replace(path: &Path, word: &str, value: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    ensure!(
        text.contains(word),
        "{} has no {word} to replace",
        path.display()
    );
    fs::write(path, text.replace(word, value)).with_context(|| format!("write {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&path, &target)?;
        } else {
            // Not fs::copy, which would keep the mode: what lies in Go's cache of modules is read-only.
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            fs::write(&target, bytes).with_context(|| format!("write {}", target.display()))?;
        }
    }
    Ok(())
}
