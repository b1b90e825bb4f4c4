//! The toolbox: programs for `kubectl exec` in containers that serve a component and have no programs of their own.
//!
//! The toolbox is one WASI command with many names (runtimeclass/toolbox). The shim carries it as compressed machine code
//! for any processor of its architecture, so no node compiles it. The first exec on a node unpacks it into the cache.

use super::store::Store;
use anyhow::{Result, ensure};
use lzma_rust2::XzReader;
use preopen_host::cache::Entry;

/// The machine code, compressed with xz. Empty in a build without the toolbox (see build.rs).
static PACKED: &[u8] = include_bytes!(env!("PREOPEN_TOOLBOX"));

/// The names, each at the start of a line.
static TOOLS: &str = include_str!("../../../../toolbox/tools.txt");

/// Returns the code of the toolbox if it has a tool of this name.
pub(super) fn code(name: &str, store: &Store<'_>) -> Result<Option<Entry>> {
    if !has(name) {
        return Ok(None);
    }
    ensure!(
        !PACKED.is_empty(),
        "cannot run {name}: this shim was built without its toolbox (build it with `cargo xtask dist`)"
    );
    // The cache finds machine code by its source, which is the packed code here.
    let entry = store.unpacked(PACKED, || Ok(XzReader::new(PACKED, false)));
    entry.map(Some)
}

fn has(name: &str) -> bool {
    let mut names = TOOLS
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.any(|tool| tool == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_its_exact_name() {
        for name in ["cat", "ls", "tar", "help"] {
            assert!(has(name), "{name}");
        }
        for name in ["", "sh", "c", "cat "] {
            assert!(!has(name), "{name}");
        }
    }
}
