//! The images on the node, made here: no registry is asked.

use crate::command;
use crate::node::Node;
use crate::programs::{CONTAINERD, named_by};
use crate::root::NODE_BINARIES;
use anyhow::{Context, Result, ensure};
use oci_writer::Image;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What holds a pod's namespaces.
pub(crate) const PAUSE: &str = "localhost/pause:visits-cluster";

/// Under the name that the manifests have, but it is this machine's busybox: nothing is fetched.
const BUSYBOX: &str = "docker.io/library/busybox:1.37";

/// The add-ons' images, as cluster/addons names them, each of one program that needs nothing else.
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

/// Makes those that the node lacks and gives them to it.
pub(crate) fn import_all(node: &Node) -> Result<()> {
    let there = names(node)?;
    let missing = |name: &str| !there.iter().any(|there| there == name);
    if missing(PAUSE) {
        import(node, &pause()?)?;
    }
    if missing(BUSYBOX) {
        import(node, &busybox()?)?;
    }
    for (name, binary) in ADDONS {
        if missing(name) {
            import(node, &program(name, binary)?)?;
        }
    }
    // Always: it may have been built anew.
    import_file(node, &named_by("VISITS_IMAGE")?)
}

/// Gives the images in an archive to the node.
pub(crate) fn import_file(node: &Node, archive: &Path) -> Result<()> {
    let mut import = ctr(node);
    // By stdin, for a path of the machine's may be hidden inside.
    import.args(["images", "import", "-"]);
    let imported = command::run_with_input(import, &read(archive)?);
    imported
        .map(drop)
        .with_context(|| format!("import {}", archive.display()))
}

fn import(node: &Node, image: &Image) -> Result<()> {
    let directory = tempfile::tempdir().context("make a temporary directory")?;
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
    command.args(["--address", CONTAINERD, "--namespace", "k8s.io"]);
    command
}

fn pause() -> Result<Image> {
    let wait = "trap 'exit 0' TERM; /bin/sleep 2147483647 & wait";
    Ok(shell(PAUSE)?
        .entrypoint(["/bin/sh", "-c", wait])
        .user("65535:65535"))
}

fn busybox() -> Result<Image> {
    Ok(shell(BUSYBOX)?
        .directory("/tmp", 0, 0, 0o1777)
        .env("PATH", "/bin")
        .entrypoint(["/bin/sh"]))
}

/// The shell and all else that this machine's busybox can be called by.
fn shell(name: &str) -> Result<Image> {
    let busybox = named_by("BUSYBOX_BIN")?;
    let mut list = Command::new(&busybox);
    list.arg("--list");
    let names = command::run(list)?;
    let image = Image::new(name).file("/bin/busybox", read(&busybox)?, 0o755);
    let applets = names.lines().filter(|name| *name != "busybox");
    Ok(applets.fold(image, |image, applet| {
        image.symlink(format!("/bin/{applet}"), "busybox")
    }))
}

fn program(name: &str, binary: &str) -> Result<Image> {
    let path = named_by("ADDONS_BIN_DIR")?.join(binary);
    let file = format!("/bin/{binary}");
    Ok(Image::new(name)
        .file(&file, read(&path)?, 0o755)
        .directory("/tmp", 0, 0, 0o1777)
        // Some manifests name the program, and without a directory.
        .env("PATH", "/bin")
        .entrypoint([file]))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    ensure!(!bytes.is_empty(), "{} is empty", path.display());
    Ok(bytes)
}
