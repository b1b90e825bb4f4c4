//! The images on the node. They are built here, so that the node needs no registry.

use crate::containerd::PAUSE;
use crate::node::Node;
use crate::paths::{CONTAINERD_SOCKET, NODE_BINARIES};
use anyhow::{Context, Result, ensure};
use oci_writer::Image;
use std::fs;
use std::path::Path;
use std::process::Command;
use visits_support::command::{self, Bounded};
use visits_support::environment;

/// The name that the manifests use. The image holds this machine's busybox.
const BUSYBOX: &str = "docker.io/library/busybox:1.37";

/// The add-ons' images by the names in cluster/addons, each with the one static program in it.
const ADDONS: [(&str, &str); 5] = [
    ("localhost/coredns:v1.14.7", "coredns"),
    (
        "localhost/local-path-provisioner:v0.0.30",
        "local-path-provisioner",
    ),
    ("localhost/metallb-controller:v0.15.2", "controller"),
    ("localhost/metallb-speaker:v0.15.2", "speaker"),
    ("localhost/metrics-server:v0.9.0", "metrics-server"),
];

/// Builds the images that the node lacks and imports them.
pub(crate) fn import_all(node: &Node) -> Result<()> {
    let present = names(node)?;
    let missing = |name: &str| !present.iter().any(|present| present == name);
    if missing(PAUSE) {
        import(node, &pause()?)?;
    }
    if missing(BUSYBOX) {
        import(node, &busybox()?)?;
    }
    for (name, binary) in ADDONS {
        if missing(name) {
            import(node, &addon(name, binary)?)?;
        }
    }
    // Always: the counter may have been rebuilt.
    import_file(node, &environment::COUNTER_IMAGE.path()?)
}

/// Imports the images in an archive.
pub(crate) fn import_file(node: &Node, archive: &Path) -> Result<()> {
    let mut import = ctr(node);
    // By stdin, because the node's own mounts may hide a path of the machine.
    import.args(["images", "import", "-"]);
    let imported = Bounded::new(import).input(read(archive)?).run();
    imported
        .map(drop)
        .with_context(|| format!("cannot import {}", archive.display()))
}

fn import(node: &Node, image: &Image) -> Result<()> {
    let directory = tempfile::tempdir().context("cannot create a temporary directory")?;
    let tar = directory.path().join("image.tar");
    image.clone().uncompressed().write_layout_tar(&tar)?;
    import_file(node, &tar)
}

fn names(node: &Node) -> Result<Vec<String>> {
    let mut list = ctr(node);
    list.args(["images", "list", "--quiet"]);
    Ok(command::run(list)?.lines().map(str::to_owned).collect())
}

fn ctr(node: &Node) -> Command {
    let mut command = node.command(format!("{NODE_BINARIES}/ctr"));
    command.args(["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"]);
    command
}

fn pause() -> Result<Image> {
    let wait = "trap 'exit 0' TERM; /bin/sleep 2147483647 & wait";
    Ok(with_busybox(PAUSE)?
        .entrypoint(["/bin/sh", "-c", wait])
        .user("65535:65535"))
}

fn busybox() -> Result<Image> {
    Ok(with_busybox(BUSYBOX)?
        .directory("/tmp", 0, 0, 0o1777)
        .env("PATH", "/bin")
        .entrypoint(["/bin/sh"]))
}

/// Returns an image of this machine's busybox.
fn with_busybox(name: &str) -> Result<Image> {
    Image::new(name).busybox(&environment::BUSYBOX.path()?)
}

fn addon(name: &str, binary: &str) -> Result<Image> {
    let path = environment::ADDONS.path()?.join(binary);
    let file = format!("/bin/{binary}");
    Ok(Image::new(name)
        .file(&file, read(&path)?, 0o755)
        .directory("/tmp", 0, 0, 0o1777)
        // Some manifests name the program without a directory.
        .env("PATH", "/bin")
        .entrypoint([file]))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(!bytes.is_empty(), "{} is empty", path.display());
    Ok(bytes)
}
