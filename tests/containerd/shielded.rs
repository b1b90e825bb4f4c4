//! The node's files and sockets are out of reach for processes in containers and for other users.

use crate::container::Container;
use crate::node::Node;
use crate::{images, process};
use anyhow::{Result, ensure};
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

/// Whether the executable of a process is on a read-only mount.
fn executes_read_only(pid: i32) -> Result<bool> {
    let status = rustix::fs::statvfs(format!("/proc/{pid}/exe"))?;
    Ok(status.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_shims_program_in_a_container_is_on_a_read_only_mount() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::COMMANDS).env("PATH", "/opt:/bin");
    let container = container.start(&node).await?;
    let pid = container.pid().await?;
    ensure!(
        executes_read_only(pid)?,
        "the component's program is writable"
    );
    let exec = container.exec(["command", "loop"]).start()?;
    exec.prints("looping").await?;
    ensure!(
        executes_read_only(exec.pid().await?)?,
        "a command's program is writable"
    );
    // The shim on the node is on an ordinary mount, which proves the harness.
    let shim = process::parent(pid)?;
    ensure!(!executes_read_only(shim)?, "the node's mount is read-only");
    exec.killed(&node).await.map(drop)
}

#[tokio::test]
#[ignore = "needs root"]
async fn no_descriptor_of_a_component_can_be_opened_for_writing_to_the_node() -> Result<()> {
    let node = Node::shared().await?;
    let container = Container::of(images::HELLO).start(&node).await?;
    let pid = container.pid().await?;
    let mut seen = 0;
    let entries = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}"));
    for entry in entries("map_files")?.chain(entries("fd")?) {
        let path = entry?.path();
        let (Ok(target), Ok(metadata)) = (fs::read_link(&path), fs::metadata(&path)) else {
            // The component has closed or unmapped it meanwhile.
            continue;
        };
        // A file that is a mount of its own is shown as `/`.
        if target.as_os_str() == "/" && metadata.is_file() {
            seen += 1;
            let error = fs::OpenOptions::new().write(true).open(&path);
            let error = error.expect_err("a file of the node cannot be opened for writing");
            // The program itself may be reported as busy first.
            let refused = [Errno::ROFS, Errno::TXTBSY].map(Errno::raw_os_error);
            ensure!(refused.map(Some).contains(&error.raw_os_error()), "{error}");
        }
    }
    ensure!(
        seen > 1,
        "{seen} files found, not the program and the component's code"
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_sockets_of_shims_are_for_root_alone() -> Result<()> {
    let node = Node::shared().await?;
    let _container = Container::of(images::HELLO).start(&node).await?;
    let mut sockets = 0;
    for entry in fs::read_dir("/run/containerd/s")? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            // The socket of another test, removed meanwhile.
            continue;
        };
        if metadata.file_type().is_socket() {
            sockets += 1;
            let mode = metadata.permissions().mode() & 0o777;
            ensure!(mode & 0o077 == 0, "{}: {mode:o}", entry.path().display());
        }
    }
    ensure!(sockets > 0, "no socket was found");
    Ok(())
}
