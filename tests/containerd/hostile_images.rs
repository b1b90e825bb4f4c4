//! Images whose files are not what they seem, and machine code that nobody should trust.

use crate::container::Container;
use crate::node::Node;
use crate::{compiled_code, images};
use anyhow::{Context, Result, ensure};
use oci_writer::Image;
use sha2::{Digest, Sha256};
use std::fs;
use visits_tests::{artifacts, get};

/// An image whose `/dev` leads to a directory of the node's makes nothing there. The directory is in the image, too: a
/// mount on a link is resolved in the image, and is to succeed.
#[tokio::test]
#[ignore = "needs root"]
async fn a_link_for_dev_leads_to_no_directory_of_the_node() -> Result<()> {
    let node = Node::shared().await?;
    let outside = tempfile::tempdir()?;
    let inside = outside.path().display().to_string();
    fs::write(outside.path().join("ptmx"), "the node's")?;
    let native = |name: &str| -> Result<Image> {
        let image = images::native_as(name)?.directory(&inside, 0, 0, 0o755);
        Ok(image.symlink("/dev", &inside))
    };
    let component = |name: &str| -> Result<Image> {
        let wasm = fs::read(artifacts::hello_wasm()?)?;
        let image = images::component(name, &images::manifest(""), &wasm);
        Ok(image
            .directory(&inside, 0, 0, 0o755)
            .symlink("/dev", &inside))
    };
    for image in [
        (
            "localhost/linked-native:test",
            native("localhost/linked-native:test")?,
        ),
        ("localhost/linked:test", component("localhost/linked:test")?),
    ] {
        images::import(&image.1).await?;
        let container = Container::of(image.0).spawn().await?;
        let code = container.exited(&node).await?;
        let error = container.stderr().lines().concat();
        let files: Vec<_> = fs::read_dir(outside.path())?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<Result<_>>()?;
        assert_eq!(files, ["ptmx"], "{error}");
        ensure!(code != 0, "{} was started", image.0);
        ensure!(
            error.contains("the image's /dev must be a directory"),
            "{error}"
        );
    }
    Ok(())
}

/// Whoever takes the compiler over can write what wasmtime maps unseen. The node's root does not map it: the container
/// does, and reports that it cannot.
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
    let parts: Vec<&str> = file.context("a name")?.split('-').collect();
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
