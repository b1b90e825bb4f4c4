//! The toolbox: programs for `kubectl exec` in containers that serve a component and have none of their own.
//!
//! It is one WASI command with many names (runtimeclass/toolbox). The shim carries it as machine code for any processor
//! of its architecture, packed: nothing is compiled on a node. The first exec on a node unpacks it into the cache.

use super::code::Store;
use anyhow::{Result, ensure};
use lzma_rust2::XzReader;
use preopen_host::cache::Entry;

/// The machine code, compressed with xz. Empty in a build without the toolbox (see build.rs).
static PACKED: &[u8] = include_bytes!(env!("PREOPEN_TOOLBOX"));

/// The names, each at the start of a line.
static TOOLS: &str = include_str!("../../../toolbox/tools.txt");

/// Returns the code of the toolbox if that has a tool of this name.
pub(super) fn code(name: &str, store: &Store<'_>) -> Result<Option<Entry>> {
    if !has(name) {
        return Ok(None);
    }
    ensure!(
        !PACKED.is_empty(),
        "this shim was built without its toolbox: build it with `cargo xtask dist`"
    );
    // The cache knows machine code by what it was made of, here by the packed code itself.
    let entry = store.unpacked(PACKED, || Ok(Box::new(XzReader::new(PACKED, false))));
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
    fn the_tools_are_known_by_their_names_alone() {
        for name in ["cat", "ls", "tar", "help"] {
            assert!(has(name), "{name}");
        }
        for name in ["", "sh", "c", "cat "] {
            assert!(!has(name), "{name}");
        }
    }
}
