//! The rights of the process that compiles a component on the node.

use crate::container::Container;
use crate::node::Node;
use crate::{compiled_code, images, process};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;

/// The fields of the status file that are checked.
const FIELDS: [&str; 9] = [
    "Uid",
    "Gid",
    "Groups",
    "NSpid",
    "CapEff",
    "CapPrm",
    "NoNewPrivs",
    "Seccomp",
    "Threads",
];

/// Returns the status and the cgroup of a compiler that has given up its rights, if one runs.
fn compiler() -> Result<Option<(BTreeMap<&'static str, String>, String)>> {
    let compile = |line: &str| line.contains(" container compile ");
    for found in process::all()?.iter().filter(|found| compile(&found.line)) {
        let mut fields = BTreeMap::new();
        for name in FIELDS {
            let Ok(value) = process::status(found.pid, name) else {
                break;
            };
            fields.insert(name, value);
        }
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", found.pid));
        if let (Some("2"), Ok(cgroup)) = (fields.get("Seccomp").map(String::as_str), cgroup) {
            return Ok(Some((fields, cgroup)));
        }
    }
    Ok(None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn the_compiler_is_nobody_and_has_nothing() -> Result<()> {
    let node = Node::alone().await?;
    let name = "localhost/compiled:test";
    images::import(&compiled_code::unlike_any(name)?).await?;
    let container = Container::of(name).spawn().await?;
    let watched = tokio::task::spawn_blocking(|| -> Result<_> {
        let end = std::time::Instant::now() + visits_tests::DEADLINE;
        // It runs for a second or less, so look without a pause.
        while std::time::Instant::now() < end {
            if let Some(seen) = compiler()? {
                return Ok(seen);
            }
        }
        anyhow::bail!("no compiler was found")
    });
    let (fields, cgroup) = watched.await??;
    let user: Vec<&str> = fields["Uid"].split_whitespace().collect();
    ensure!(
        user.iter().all(|id| *id == user[0]) && user[0].parse::<u32>()? >= 0xf000_0000,
        "{fields:?}"
    );
    assert_eq!(fields["Uid"], fields["Gid"]);
    assert_eq!(fields["Groups"], "");
    let number = fields["NSpid"].split_whitespace().last();
    assert_eq!(number, Some("1"), "not the first process of a namespace");
    for name in ["CapEff", "CapPrm"] {
        assert_eq!(fields[name], "0000000000000000", "{name}");
    }
    assert_eq!(fields["NoNewPrivs"], "1");
    ensure!(cgroup.contains("/preopen-compiler-"), "{cgroup}");
    container.listens(&node).await?;
    container.stop(&node).await?;
    let left = crate::cgroup::below("/")?;
    let left = left.iter().filter_map(|path| path.file_name()?.to_str());
    let left = left.filter(|name| name.starts_with("preopen-compiler"));
    assert_eq!(left.count(), 0, "its cgroup was not removed");
    Ok(())
}

/// A component that cannot be compiled is not compiled again for every pod of the image.
#[tokio::test]
#[ignore = "needs root"]
async fn what_cannot_be_compiled_is_remembered() -> Result<()> {
    let node = Node::alone().await?;
    let name = "localhost/uncompilable:test";
    let wasm = b"\0asm\x0d\0\x01\0 and then nothing of the kind";
    images::import(&images::component(name, &images::manifest(""), wasm)).await?;
    for _ in 0..2 {
        let container = Container::of(name).spawn().await?;
        let code = container.exited(&node).await?;
        ensure!(code != 0, "the container started without a component");
        container.remove().await?;
    }
    let log = node.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("component is compiled in its container"))
        .collect();
    let lines = &lines[lines.len().checked_sub(2).context("fewer than two lines")?..];
    ensure!(!lines[0].contains("a few minutes ago"), "{lines:?}");
    ensure!(
        lines[1].contains("a few minutes ago: the compiler"),
        "{lines:?}"
    );
    Ok(())
}
