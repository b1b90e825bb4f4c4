//! The component's environment: the variables that its manifest lists, the replica's name, and nothing else.

use crate::container::Container;
use crate::cri::{Pod, Setup};
use crate::images;
use crate::node::{Node, PLANTED};
use anyhow::{Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use visits_tests::get;

/// The bytes of memory that are searched at a time.
const PIECE: u64 = 1 << 20;

#[tokio::test]
#[ignore = "needs root"]
async fn the_component_has_the_pods_values_of_its_own_variables_and_no_others() -> Result<()> {
    let node = Node::shared().await?;
    let setup = Setup::of(images::PROBE)
        .env("LISTED", "from the pod")
        .env("POD_NAME", "probe-0")
        .env("UNLISTED", "from the pod")
        .env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let (pod, _container) = Pod::serving(&node, setup).await?;
    let environment = get(pod.address(), "/env").await?;
    let mut lines: Vec<&str> = environment.text().lines().collect();
    lines.sort_unstable();
    let hostname = format!("HOSTNAME={}", pod.name());
    let expected = [
        hostname.as_str(),
        "KEPT=from the manifest",
        "LISTED=from the pod",
        "POD_NAME=probe-0",
    ];
    assert_eq!(lines, expected);
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_cache_directory_is_refused() -> Result<()> {
    let node = Node::shared().await?;
    let command = ["/app/spin.toml", "--cache-dir", "/app/persistent/cache"];
    let container = Container::of(images::PROBE).command(command);
    let container = container.spawn().await?;
    assert_eq!(container.exited(&node).await?, 1);
    let stderr = container.stderr().lines().concat();
    ensure!(
        stderr.contains("--cache-dir /app/persistent/cache: "),
        "{stderr}"
    );
    container.remove().await
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_process_of_a_component_has_nothing_of_the_nodes_environment() -> Result<()> {
    let node = Node::shared().await?;
    let (_pod, container) = Pod::serving(&node, Setup::of(images::PROBE)).await?;
    let environment = std::fs::read(format!("/proc/{}/environ", container.pid().await?))?;
    let environment = String::from_utf8_lossy(&environment);
    ensure!(!environment.contains(PLANTED.0), "{environment}");
    ensure!(!environment.contains("NODE_BIN_DIR"), "{environment}");
    let listed = memory_that_holds(container.pid().await?, "from the manifest")?;
    ensure!(listed.is_some(), "the search finds no variable at all");
    let memory = memory_that_holds(container.pid().await?, PLANTED.1)?;
    assert_eq!(
        memory, None,
        "the node's secret is in the memory of the process"
    );
    Ok(())
}

/// Returns the writable mapping of a process that contains this text. An environment that was read and freed is still
/// there.
fn memory_that_holds(pid: i32, text: &str) -> Result<Option<String>> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let pages = File::open(format!("/proc/{pid}/pagemap"))?;
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((start, end)) = range.split_once('-') else {
            continue;
        };
        let start = u64::from_str_radix(start, 16)?;
        let end = u64::from_str_radix(end, 16)?;
        if !rights.starts_with("rw") {
            continue;
        }
        for piece in (start..end).step_by(PIECE as usize) {
            let length = PIECE.min(end - piece);
            if is_touched(&pages, piece, length)? && holds(&memory, piece, length, text) {
                return Ok(Some(line.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Whether the process has touched one of these pages. A component and the allocator reserve gigabytes that they do not use.
fn is_touched(pages: &File, start: u64, length: u64) -> Result<bool> {
    const PAGE: u64 = 4096;
    let mut entries = vec![0; usize::try_from(length / PAGE * 8)?];
    let read = pages.read_at(&mut entries, start / PAGE * 8)?;
    // The highest bits of an entry: the page is in memory, or in swap.
    let (entries, _) = entries[..read].as_chunks::<8>();
    Ok(entries.iter().any(|entry| entry[7] & 0xc0 != 0))
}

/// Whether this piece of memory, with some bytes of the next one, contains this text.
fn holds(memory: &File, start: u64, length: u64, text: &str) -> bool {
    let mut bytes = vec![0; length as usize + text.len()];
    let read = memory.read_at(&mut bytes, start).unwrap_or(0);
    bytes[..read]
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
