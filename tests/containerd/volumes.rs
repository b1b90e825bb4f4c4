//! Volumes: directories of the node mounted over those of the image.

use crate::container::{Container, Runtime};
use crate::images::{self, USER};
use crate::node::Node;
use anyhow::{Result, ensure};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use std::path::Path;
use tempfile::TempDir;
use visits_tests::load::{self, visits_bin};
use visits_tests::{Ext4, get};

/// Makes a directory that the image's user can write to.
pub(crate) fn volume() -> Result<TempDir> {
    let volume = tempfile::tempdir()?;
    give_to_user(volume.path())?;
    Ok(volume)
}

fn give_to_user(directory: &Path) -> Result<()> {
    Ok(std::os::unix::fs::chown(directory, Some(USER), Some(USER))?)
}

/// Checks that the count continues over three containers in sequence.
async fn outlives_its_containers(volume: &Path) -> Result<()> {
    let node = Node::shared().await?;
    for first in [1, 101, 201] {
        let container = Container::visits(volume).start(&node).await?;
        let numbers = load::visits(container.address(), 4, 25).await?;
        load::assert_exactly(numbers, first, first + 99);
        assert_eq!(container.stop(&node).await?.code, 0);
        container.remove().await?;
    }
    assert_eq!(visits_bin(volume)?, 300);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_count_outlives_its_container_on_a_directory_of_the_node() -> Result<()> {
    outlives_its_containers(volume()?.path()).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_count_outlives_its_container_on_a_file_system_of_one_mebibyte() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let point = directory.path().join("volume");
    std::fs::create_dir(&point)?;
    let _mounted = Ext4::on(&point)?;
    give_to_user(&point)?;
    outlives_its_containers(&point).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_volume_mounted_read_only_is_read_only_for_the_component() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let first = Container::visits(volume.path()).start(&node).await?;
    load::visits(first.address(), 1, 7).await?;
    first.stop(&node).await?;
    let reader = Container::of(images::VISITS);
    let reader = reader.read_only_volume(volume.path(), images::VISITS_VOLUME);
    let reader = reader.start(&node).await?;
    for path in ["/", "/healthz"] {
        let reply = get(reader.address(), path).await?;
        assert_eq!(reply.status, 503, "{path}");
        ensure!(
            reply.text().contains("read-only"),
            "{path}: {}",
            reply.text()
        );
    }
    assert_eq!(get(reader.address(), "/visits").await?.text(), "7\n");
    reader.stop(&node).await?;
    let again = Container::visits(volume.path()).start(&node).await?;
    assert_eq!(load::visits(again.address(), 1, 1).await?, [8]);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn each_of_two_volumes_is_where_the_manifest_puts_it() -> Result<()> {
    let node = Node::shared().await?;
    let (one, two) = (volume()?, volume()?);
    let container = Container::of(images::PROBE)
        .volume(one.path(), "/app/one")
        .read_only_volume(two.path(), "/app/two")
        .start(&node)
        .await?;
    let reply = get(container.address(), "/dirs").await?;
    assert_eq!(reply.text(), "/one\n/data/two\n");
    let reply = get(container.address(), "/write?name=here").await?;
    assert_eq!(reply.text(), "written\n");
    assert_eq!(
        std::fs::read_to_string(one.path().join("here"))?,
        "written\n"
    );
    assert_eq!(std::fs::read_dir(two.path())?.count(), 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_missing_volume_is_an_error_that_names_it() -> Result<()> {
    let node = Node::shared().await?;
    let name = "localhost/missing-volume:test";
    let lines = "files = [{ source = \"ledger\", destination = \"/ledger\" }]";
    images::import(&images::probe_with(name, lines)?).await?;
    let ended = Container::of(name).spawn().await?.ended(&node).await?;
    let line = ended.stderr.last().map_or("", String::as_str);
    assert_eq!(ended.code, 1, "{ended:?}");
    ensure!(
        line.starts_with("error: ") && line.contains("/app/ledger"),
        "{ended:?}"
    );
    Ok(())
}

/// A directory whose mounts reach containers, as Kubernetes' `mountPropagation: HostToContainer` requires. It is unmounted on
/// drop.
struct Shared(TempDir);

impl Shared {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        mount_bind(directory.path(), directory.path())?;
        let shared = Self(directory);
        mount_change(shared.0.path(), MountPropagationFlags::SHARED)?;
        Ok(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

/// Checks that a container sees a file system that the node mounts later.
async fn a_later_mount_arrives(runtime: Runtime, propagation: &str) -> Result<()> {
    let node = Node::shared().await?;
    let shared = Shared::new()?;
    let point = shared.0.path().join("later");
    std::fs::create_dir(&point)?;
    let wait = "until [ -e /shared/later/file ]; do sleep 0.1; done";
    let container = Container::native(wait)
        .runtime(runtime)
        .flag(format!("--rootfs-propagation={propagation}"))
        .mount(shared.0.path(), "/shared", &format!("rbind:{propagation}"))
        .spawn_running()
        .await?;
    let _mounted = Ext4::on(&point)?;
    std::fs::write(point.join("file"), "")?;
    assert_eq!(container.ended(&node).await?.code, 0);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_later_mount_arrives_which_proves_the_harness() -> Result<()> {
    a_later_mount_arrives(Runtime::Runc, "rslave").await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_mount_of_the_node_reaches_containers_that_run_already() -> Result<()> {
    for propagation in ["rslave", "rshared"] {
        a_later_mount_arrives(Runtime::Preopen, propagation).await?;
    }
    Ok(())
}

/// Checks that a private volume does not show what the node mounts in it later, which a volume beside it does.
async fn a_later_mount_stays_away(runtime: Runtime) -> Result<()> {
    let node = Node::shared().await?;
    let shared = Shared::new()?;
    let point = shared.0.path().join("later");
    std::fs::create_dir(&point)?;
    let look = "until [ -e /shared/later/file ]; do sleep 0.1; done; [ ! -e /private/later/file ]";
    let container = Container::native(look)
        .runtime(runtime)
        .flag("--rootfs-propagation=rslave")
        .mount(shared.0.path(), "/shared", "rbind:rslave")
        .mount(shared.0.path(), "/private", "rbind:rprivate")
        .spawn_running()
        .await?;
    let _mounted = Ext4::on(&point)?;
    std::fs::write(point.join("file"), "")?;
    let ended = container.ended(&node).await?;
    ensure!(ended.code == 0, "the private volume shows it: {ended:?}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn under_runc_a_later_mount_stays_away_from_private_volumes() -> Result<()> {
    a_later_mount_stays_away(Runtime::Runc).await
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_mount_of_the_node_does_not_reach_private_volumes() -> Result<()> {
    a_later_mount_stays_away(Runtime::Preopen).await
}
