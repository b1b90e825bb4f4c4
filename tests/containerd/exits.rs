//! Exit codes, and the error message for each code other than 0.

use crate::container::Container;
use crate::cri::{Pod, Setup};
use crate::images;
use crate::node::Node;
use anyhow::{Result, ensure};
use oci_writer::Image;
use visits_tests::handwritten::component_importing;

/// Checks that a container of this image ends with 1 and one line on stderr that contains all of these texts.
async fn fails(image: Image, name: &str, texts: &[&str]) -> Result<()> {
    let node = Node::shared().await?;
    images::import(&image).await?;
    let container = Container::of(name).env("RUST_LOG", "off").spawn().await?;
    let ended = container.ended(&node).await?;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(ended.stderr.len(), 1, "{ended:?}");
    let line = &ended.stderr[0];
    ensure!(line.starts_with("error: "), "{line}");
    for text in texts {
        ensure!(line.contains(text), "no {text:?} in: {line}");
    }
    container.remove().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_stopped_container_ends_with_0() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).start(&node).await?;
    let ended = container.stop(&node).await?;
    assert_eq!(ended.code, 0, "{ended:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_invalid_manifest_is_named_with_its_line() -> Result<()> {
    let name = "localhost/bad-manifest:test";
    let image = images::component(name, "spin_manifest_version = 2\n[application\n", b"");
    fails(image, name, &["/app/spin.toml:2: "]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_missing_manifest_is_named() -> Result<()> {
    let name = "localhost/no-manifest:test";
    let image = Image::new(name)
        .entrypoint(["/elsewhere/spin.toml"])
        .file("/empty", "", 0o644);
    fails(image, name, &["/elsewhere/spin.toml", "No such file"]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_missing_component_is_named() -> Result<()> {
    let name = "localhost/no-component:test";
    let manifest = images::manifest("").replace("component.wasm", "absent.wasm");
    let image = images::component(name, &manifest, b"");
    fails(image, name, &["/app/absent.wasm", "No such file"]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_component_of_a_release_candidate_is_refused_with_its_version() -> Result<()> {
    let name = "localhost/old-component:test";
    let wasm = component_importing("a:b/c", "wasi:http/handler@0.3.0-rc-2026-03-15");
    let image = images::component(name, &images::manifest(""), &wasm);
    fails(image, name, &["0.3.0-rc-2026-03-15", "a release candidate"]).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_file_that_is_not_a_component_is_named() -> Result<()> {
    let name = "localhost/garbage:test";
    let image = images::component(name, &images::manifest(""), b"not wasm");
    fails(
        image,
        name,
        &["/app/component.wasm", "not a WebAssembly component"],
    )
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_address_that_is_in_use_is_named() -> Result<()> {
    let node = Node::shared().await?;
    let (pod, _first) = Pod::serving(&node, Setup::of(images::HELLO)).await?;
    let second = pod.run(&node, Setup::of(images::HELLO)).await?;
    assert_eq!(
        second.ended(&node).await?["exitCode"],
        1,
        "{:?}",
        second.log()
    );
    let last = second.log().pop().unwrap_or_default();
    ensure!(
        last.starts_with("stderr F error: cannot listen on [::]:5000"),
        "{last}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_unknown_option_is_refused() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).command(["/app/spin.toml", "--no-such-option"]);
    let ended = container.spawn().await?.ended(&node).await?;
    assert_eq!(ended.code, 2, "{ended:?}");
    ensure!(
        ended.stderr.concat().contains("--no-such-option"),
        "{ended:?}"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_container_of_a_missing_program_is_not_created() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).command(["/app/no-such-program"]);
    let ended = container.spawn().await?.ended(&node).await;
    let error = ended.expect_err("there is no such program");
    ensure!(
        format!("{error:#}").contains("/app/no-such-program"),
        "{error:#}"
    );
    Ok(())
}
