//! What a power cut leaves.

use super::{Disk, Node};
use std::mem;

impl Disk {
    /// Leaves what a power cut leaves, mounted again: in each directory, a prefix of the changes since its last sync. Returns
    /// whether anything was lost.
    pub(crate) fn cut_power(&mut self, below: &mut impl FnMut(u64) -> u64) -> bool {
        self.aborted = false;
        let mut lossy = false;
        for node in self.named(true) {
            let Some(Node::Dir(dir)) = self.nodes.get_mut(&node) else {
                continue;
            };
            let mut survivors = vec![mem::take(&mut dir.durable)];
            survivors.append(&mut dir.history);
            let survivor = distinct(survivors, below);
            lossy |= survivor != dir.entries;
            dir.entries.clone_from(&survivor);
            dir.durable = survivor;
        }
        // A file that has lost its name has no content that matters.
        for node in self.named(false) {
            let Some(Node::File(contents)) = self.nodes.get_mut(&node) else {
                continue;
            };
            // Nothing has changed since the last sync.
            if contents.len() == 1 {
                continue;
            }
            let last = contents.last().cloned();
            contents.push(Vec::new());
            let survivor = distinct(mem::take(contents), below);
            lossy |= last.as_ref() != Some(&survivor);
            contents.push(survivor);
        }
        lossy
    }
}

/// Chooses one of several values, each of which counts once.
fn distinct<T: PartialEq>(values: Vec<T>, below: &mut impl FnMut(u64) -> u64) -> T {
    let mut different = Vec::new();
    for value in values {
        if !different.contains(&value) {
            different.push(value);
        }
    }
    different.swap_remove(below(different.len() as u64) as usize)
}
