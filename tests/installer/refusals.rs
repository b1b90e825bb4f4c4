//! Refusals of the script: one line with the reason, and no change to the node.

use crate::layout::{Containerd, Layout, VERSION_3};
use crate::node::Node;
use crate::script::{SHIM, Script, run};
use anyhow::Result;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use visits_tests::{artifacts, command};

async fn node() -> Result<Node> {
    Node::start(Layout::vanilla(Containerd::Current, VERSION_3)).await
}

/// Checks that the script fails with an error that contains all these words, restarts nothing and changes nothing.
async fn refused(node: &Node, script: &Script, arguments: &[&str], words: &[&str]) -> Result<()> {
    let before = node.files()?;
    let error = script.run(node, arguments).await?.error()?;
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    node.is_as_in(&before)?;
    assert_eq!(node.restarts()?, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_archive_that_is_not_what_its_checksum_says_changes_nothing() -> Result<()> {
    let node = node().await?;
    let script = Script::new()?;
    let archive = script.archive()?;
    let mut bytes = fs::read(&archive)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes)?;
    refused(
        &node,
        &script,
        &["install"],
        &["SHA-256", "nothing was changed"],
    )
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_archive_without_a_checksum_changes_nothing() -> Result<()> {
    let node = node().await?;
    let script = Script::new()?;
    fs::remove_file(script.archive()?.with_extension("gz.sha256"))?;
    refused(
        &node,
        &script,
        &["install"],
        &["sha256", "cannot be checked"],
    )
    .await?;
    fs::write(script.archive()?.with_extension("gz.sha256"), "")?;
    refused(&node, &script, &["install"], &["has none"]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_archive_that_was_checked_is_the_one_that_is_unpacked() -> Result<()> {
    let node = node().await?;
    let script = Script::new()?;
    let other = Script::carrying(b"#!/bin/sh\n# another program\n")?;
    // Replaces the archive right after its checksum was computed, as any user with write access to its directory could.
    let programs = tempfile::tempdir()?;
    let path = std::env::var("PATH")?;
    let replaces = format!(
        "#!/bin/sh\nPATH='{path}' sha256sum \"$@\" && cp '{}' '{}'\n",
        other.archive()?.display(),
        script.archive()?.display()
    );
    let sha256sum = programs.path().join("sha256sum");
    fs::write(&sha256sum, replaces)?;
    fs::set_permissions(&sha256sum, Permissions::from_mode(0o755))?;
    // Run by the machine's shell: busybox' shell would use its own sha256sum.
    let command = script.command(&node, &["install"])?;
    let busybox = artifacts::busybox()?;
    let mut install = Command::new(command.get_program());
    install
        .args(command.get_args().filter(|word| *word != busybox))
        .env("PATH", format!("{}:{path}", programs.path().display()));
    run(install).await?.ok()?;
    assert_eq!(
        fs::read(script.archive()?)?,
        fs::read(other.archive()?)?,
        "the archive was not replaced"
    );
    assert!(fs::read(node.path(SHIM))? == fs::read(artifacts::shim()?)?);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_that_does_not_run_on_the_node_is_not_left_there() -> Result<()> {
    let node = node().await?;
    let script = Script::carrying(b"\x7fELF of another world")?;
    refused(&node, &script, &["install"], &["does not run on this node"]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_unknown_node_is_an_error_that_names_the_paths_it_looked_for() -> Result<()> {
    let root = tempfile::tempdir()?;
    let script = Script::new()?;
    let error = run(script.bare(root.path(), &["install"])?)
        .await?
        .error()?;
    for path in [
        "/var/lib/rancher/k3s",
        "/var/lib/rancher/rke2",
        "/etc/k0s",
        "/var/snap/microk8s",
        "/etc/containerd/config.toml",
    ] {
        assert!(error.contains(path), "{path} is not in: {error}");
    }
    assert_eq!(fs::read_dir(root.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_read_only_opt_is_an_error_that_names_the_option_to_use() -> Result<()> {
    let node = node().await?;
    let opt = node.path("/opt");
    for options in ["bind", "remount,bind,ro"] {
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).arg(&opt).arg(&opt);
        command::run_beside(mount).await?;
    }
    let script = Script::new()?;
    refused(
        &node,
        &script,
        &["install"],
        &["/opt/preopen", "--directory"],
    )
    .await?;

    let before = node.files()?;
    let elsewhere = ["--directory", "/var/lib/preopen"];
    let install = [&["install"], &elsewhere[..]].concat();
    script.run(&node, &install).await?.ok()?;
    let shim = "/var/lib/preopen/bin/containerd-shim-preopen-v1";
    assert!(node.info().await?.contains(shim));
    let uninstall = [&["uninstall"], &elsewhere[..]].concat();
    script.run(&node, &uninstall).await?.ok()?;
    node.is_as_in(&before)?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_shim_or_runtime_installed_by_hand_is_not_replaced() -> Result<()> {
    let node = node().await?;
    let script = Script::new()?;
    fs::create_dir_all(node.path("/opt/preopen/bin"))?;
    fs::write(node.path(SHIM), "by hand")?;
    refused(&node, &script, &["install"], &[SHIM, "not of preopen-node"]).await?;
    fs::remove_dir_all(node.path("/opt/preopen"))?;

    let table = "\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.preopen]\n\
                 runtime_type = \"io.containerd.runc.v2\"\n";
    let config = VERSION_3.replace("imports", "# imports") + table;
    // Version 2, because containerd 2.4 imports its drop-in directory with version 3 even if the file does not.
    let config = config.replacen("version = 3", "version = 2", 1);
    fs::write(node.path("/etc/containerd/config.toml"), config)?;
    refused(
        &node,
        &script,
        &["install"],
        &["runtime preopen", "remove it first"],
    )
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_configuration_that_is_already_invalid_is_not_changed() -> Result<()> {
    let node = node().await?;
    let script = Script::new()?;
    fs::write(
        node.path("/etc/containerd/config.toml"),
        format!("{VERSION_3}\n[unfinished\n"),
    )?;
    refused(
        &node,
        &script,
        &["install"],
        &["does not accept", "as it is"],
    )
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_mistyped_option_is_an_error_that_names_it() -> Result<()> {
    let node = node().await?;
    let script = Script::new()?;
    refused(&node, &script, &["install", "--forse"], &["--forse"]).await?;
    refused(&node, &script, &["install", "--forse", "x"], &["--forse"]).await?;
    refused(&node, &script, &["instal"], &["usage"]).await?;
    refused(
        &node,
        &script,
        &["install", "--systemd-cgroup", "yes"],
        &["yes"],
    )
    .await?;
    refused(
        &node,
        &script,
        &["install", "--distribution", "k8s"],
        &["k8s"],
    )
    .await
}
