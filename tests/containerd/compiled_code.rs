//! Compiled code: made once per node and image, in a directory that only root can write.

use crate::container::Container;
use crate::images;
use crate::node::Node;
use anyhow::{Context, Result, ensure};
use oci_writer::Image;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use visits_tests::{artifacts, get};

const CACHE: &str = "/var/cache/preopen";
const JSON_LOG: [&str; 3] = ["/app/spin.toml", "--log-format", "json"];

/// Returns an image whose component no other test has started: hello with a custom section.
pub(crate) fn unlike_any(name: &str) -> Result<Image> {
    Ok(images::component(name, &images::manifest(""), &wasm(name)?))
}

/// Returns hello with a custom section of this name.
fn wasm(name: &str) -> Result<Vec<u8>> {
    let mut wasm = fs::read(artifacts::hello_wasm()?)?;
    let section = [&[u8::try_from(name.len())?], name.as_bytes()].concat();
    wasm.extend([0, u8::try_from(section.len())?]);
    wasm.extend(section);
    Ok(wasm)
}

/// Returns the compiled code in the cache.
fn entries() -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::from(CACHE)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => open.push(entry.path()),
                false if entry.path().extension() == Some("cwasm".as_ref()) => {
                    found.insert(entry.path());
                }
                false => {}
            }
        }
    }
    Ok(found)
}

/// Starts a container of this image, checks its response and returns whether its log reports the code as cached.
async fn is_cached(node: &Node, name: &str) -> Result<bool> {
    let container = Container::of(name).command(JSON_LOG).start(node).await?;
    assert_eq!(get(container.address(), "/").await?.text(), "hello\n");
    let cached = logs_cached(&container, "component ready").await?;
    container.stop(node).await?;
    Ok(cached)
}

/// Returns the field `cached` of the log line that contains this text.
async fn logs_cached(container: &Container, text: &str) -> Result<bool> {
    let line = container.logs(text).await?;
    let log: serde_json::Value = serde_json::from_str(&line).with_context(|| line.clone())?;
    log["fields"]["cached"].as_bool().context(line)
}

/// Starts this image for the first time and returns the entry that this adds to the cache.
pub(crate) async fn first_start(node: &Node, name: &str) -> Result<PathBuf> {
    images::import(&unlike_any(name)?).await?;
    let before = entries()?;
    is_cached(node, name).await?;
    let added: Vec<_> = entries()?.difference(&before).cloned().collect();
    ensure!(
        added.len() == 1,
        "the first start added {added:?} to {before:?}, not one entry"
    );
    Ok(added[0].clone())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_second_start_compiles_nothing() -> Result<()> {
    let node = Node::alone().await?;
    let name = "localhost/second-start:test";
    let entry = first_start(&node, name).await?;
    let before = fs::metadata(&entry)?;
    ensure!(
        is_cached(&node, name).await?,
        "the log does not report the code as cached"
    );
    let after = fs::metadata(&entry)?;
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn every_component_of_a_manifest_has_its_code_from_the_node() -> Result<()> {
    let node = Node::alone().await?;
    let name = "localhost/several:test";
    let second = "[component.second]\nsource = \"second.wasm\"\n\
                  [[trigger.http]]\nroute = \"/second/...\"\ncomponent = \"second\"\n";
    let manifest = images::manifest(second);
    let image = images::component(name, &manifest, &wasm("first of several")?);
    let image = image.file("/app/second.wasm", wasm("second of several")?, 0o644);
    images::import(&image).await?;
    let before = entries()?;
    for start in 1..=2 {
        let container = Container::of(name).command(JSON_LOG).start(&node).await?;
        for path in ["/", "/second/path"] {
            assert_eq!(get(container.address(), path).await?.text(), "hello\n");
        }
        for component in ["component.wasm", "second.wasm"] {
            let cached = logs_cached(&container, component).await?;
            ensure!(cached, "start {start}: {component} is not cached");
        }
        container.stop(&node).await?;
        let added = entries()?.difference(&before).count();
        ensure!(
            added == 2,
            "after start {start} there are {added} new entries"
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn nobody_but_root_can_write_to_the_cache() -> Result<()> {
    let node = Node::shared().await?;
    is_cached(&node, images::HELLO).await?;
    let mut paths = vec![PathBuf::from(CACHE)];
    paths.extend(entries()?);
    ensure!(paths.len() > 1, "the cache is empty");
    for path in paths {
        let metadata = fs::metadata(&path)?;
        let mode = metadata.permissions().mode();
        ensure!(
            metadata.uid() == 0 && mode & 0o022 == 0,
            "{}: {mode:o}",
            path.display()
        );
    }
    Ok(())
}

/// Spoils an entry and checks that the next start compiles again and that the start after it uses the new code.
async fn is_recompiled(name: &str, spoil: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let node = Node::alone().await?;
    let entry = first_start(&node, name).await?;
    let code = fs::read(&entry)?;
    spoil(&entry)?;
    node.with_log(is_cached(&node, name).await)?;
    ensure!(
        fs::read(&entry)? == code,
        "{} was not restored",
        entry.display()
    );
    let mode = fs::metadata(&entry)?.permissions().mode();
    ensure!(mode & 0o022 == 0, "{mode:o}");
    ensure!(
        is_cached(&node, name).await?,
        "the log does not report the code as cached"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_torn_entry_is_compiled_again() -> Result<()> {
    is_recompiled("localhost/torn:test", |entry| {
        let length = fs::metadata(entry)?.len();
        Ok(fs::File::options()
            .write(true)
            .open(entry)?
            .set_len(length / 2)?)
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_empty_entry_is_compiled_again() -> Result<()> {
    is_recompiled("localhost/emptied:test", |entry| Ok(fs::write(entry, "")?)).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_entry_with_a_changed_byte_is_compiled_again() -> Result<()> {
    is_recompiled("localhost/changed:test", |entry| {
        let mut code = fs::read(entry)?;
        let middle = code.len() / 2;
        code[middle] ^= 0xff;
        Ok(fs::write(entry, code)?)
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_entry_that_others_could_have_written_is_compiled_again() -> Result<()> {
    is_recompiled("localhost/open:test", |entry| {
        Ok(fs::set_permissions(
            entry,
            fs::Permissions::from_mode(0o666),
        )?)
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn an_entry_that_another_user_owns_is_compiled_again() -> Result<()> {
    is_recompiled("localhost/owned:test", |entry| {
        Ok(std::os::unix::fs::chown(entry, Some(images::USER), None)?)
    })
    .await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_cache_is_where_containerds_configuration_says() -> Result<()> {
    let node = Node::shared().await?;
    let name = "localhost/elsewhere:test";
    images::import(&unlike_any(name)?).await?;
    let directory = tempfile::tempdir()?;
    let cache = directory.path().join("cache");
    let options = directory.path().join("options.toml");
    fs::write(&options, format!("CacheDirectory = {cache:?}\n"))?;
    let builder = Container::of(name)
        .flag("--runtime-config-path")
        .flag(&options);
    let container = builder.start(&node).await?;
    container.stop(&node).await?;
    ensure!(
        fs::read_dir(&cache)?.count() > 0,
        "{} is empty",
        cache.display()
    );
    Ok(())
}
