//! Images with misleading files, and machine code that must not be trusted.

use crate::container::Container;
use crate::node::Node;
use crate::{compiled_code, images};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs;
use visits_tests::{artifacts, get};

/// An image whose `/dev` is a link to a directory of the node makes nothing there. The image has the directory too, because
/// a mount on a link is resolved in the image and must succeed.
#[tokio::test]
#[ignore = "needs root"]
async fn a_link_for_dev_leads_to_no_directory_of_the_node() -> Result<()> {
    const NATIVE: &str = "localhost/linked-native:test";
    const COMPONENT: &str = "localhost/linked:test";
    let node = Node::shared().await?;
    let outside = tempfile::tempdir()?;
    let inside = outside.path().display().to_string();
    fs::write(outside.path().join("ptmx"), "the node's")?;
    let wasm = fs::read(artifacts::hello_wasm()?)?;
    let component = |name: &str| images::component(name, &images::manifest(""), &wasm);
    for (name, image) in [
        (NATIVE, images::native_as(NATIVE)?),
        (COMPONENT, component(COMPONENT)),
    ] {
        let image = image.directory(&inside, 0, 0, 0o755);
        images::import(&image.symlink("/dev", &inside)).await?;
        let container = Container::of(name).spawn().await?;
        let code = container.exited(&node).await?;
        let error = container.stderr().lines().concat();
        let files: Vec<_> = fs::read_dir(outside.path())?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<Result<_>>()?;
        assert_eq!(files, ["ptmx"], "{error}");
        ensure!(code != 0, "{name} was started");
        ensure!(
            error.contains("the image's /dev must be a directory"),
            "{error}"
        );
    }
    Ok(())
}

/// An attacker who controls the compiler can write code that wasmtime maps without a check. The container maps it, not
/// root on the node, and reports that the mapping failed.
#[tokio::test]
#[ignore = "needs root"]
async fn what_the_compiler_wrote_is_mapped_by_the_container_and_not_by_root() -> Result<()> {
    let node = Node::alone().await?;
    let name = "localhost/crafted:test";
    let entry = compiled_code::first_start(&node, name).await?;
    let crafted = b"\x7fELF, and then nothing of the kind";
    let digest: String = Sha256::digest(crafted)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = entry.file_name().and_then(|name| name.to_str());
    let parts: Vec<&str> = file.context("the entry has no name")?.split('-').collect();
    fs::remove_file(&entry)?;
    let crafted_name = format!("{}-{digest}-{}", parts[0], parts[2]);
    fs::write(entry.with_file_name(&crafted_name), crafted)?;
    let container = Container::of(name).start(&node).await?;
    assert_eq!(get(container.address(), "/").await?.text(), "hello\n");
    container.logs("the node's code cannot be mapped").await?;
    container.stop(&node).await?;
    let log = node.log();
    ensure!(!log.contains(&crafted_name), "{log}");
    fs::remove_file(entry.with_file_name(&crafted_name))?;
    Ok(())
}
