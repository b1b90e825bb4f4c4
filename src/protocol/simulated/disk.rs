//! What is on the simulated volume, and what of it a power cut leaves.
//!
//! It is the weakest file system that the protocol promises anything on:
//! 1. A rename is atomic, also over a crash.
//! 2. The changes *in one directory* survive in order.
//! 3. A sync of a directory makes the changes in *it* survive, and no others. (ext4 syncs all directories at once, which
//!    would hide a sync of the wrong one.) So do two syncs of one directory at the same time. On ext4 without a journal that
//!    needs the host's lock.
//! 4. The content of a file that was not synced may be any that it has had since its last sync, or gone.
//! 5. Once it has given up its journal, no change of a directory succeeds, and syncs report success and store nothing.

mod power;

use super::super::directory::{Entry, FsError, FsErrorKind, FsResult};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

/// A file or directory, whatever its name. The number is a hash of who created it and what that instance had created before.
/// So it does not depend on what other instances did meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(super) u64);

/// The root of the volume.
pub(crate) const ROOT: NodeId = NodeId(0);

/// Returns the error of a failed call.
pub(crate) fn error(kind: FsErrorKind) -> FsError {
    FsError {
        kind,
        text: format!("{kind:?}"),
    }
}

enum Node {
    Dir(Dir),
    /// The content that is sure to survive, and all later ones. Reads return the last one.
    File(Vec<Vec<u8>>),
}

#[derive(Default, Hash)]
struct Dir {
    entries: BTreeMap<String, NodeId>,
    /// All entries after each change since the last sync.
    history: Vec<BTreeMap<String, NodeId>>,
    durable: BTreeMap<String, NodeId>,
}

/// The volume.
pub(crate) struct Disk {
    nodes: BTreeMap<NodeId, Node>,
    /// What is created next.
    pub(super) next: NodeId,
    /// Whether there is space for neither another entry nor a longer file.
    pub(crate) full: bool,
    /// Whether there is space for an empty file although it is full.
    pub(crate) inodes_left: bool,
    /// Whether it has given up its journal, until it is mounted again.
    pub(crate) aborted: bool,
    /// How often anything has changed, durability included.
    changes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Disk {
            nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]),
            next: NodeId(1),
            full: false,
            inodes_left: false,
            aborted: false,
            changes: 0,
        }
    }
}

impl Disk {
    fn dir(&mut self, dir: NodeId) -> &mut Dir {
        match self.nodes.get_mut(&dir) {
            Some(Node::Dir(dir)) => dir,
            _ => unreachable!("only directories are opened as such"),
        }
    }

    /// Finds an entry of a directory.
    pub(crate) fn find(&mut self, dir: NodeId, name: &str) -> FsResult<NodeId> {
        let found = self.dir(dir).entries.get(name).copied();
        found.ok_or_else(|| error(FsErrorKind::NotFound))
    }

    /// Hashes what is on the disk, however it came there. What a power cut would bring back is left out if none can come.
    pub(crate) fn hash(&self, may_be_cut: bool, hasher: &mut impl Hasher) {
        (self.full, self.inodes_left, self.aborted).hash(hasher);
        // What has no name, and cannot get one any more, affects nothing.
        for id in self.named(may_be_cut) {
            match &self.nodes[&id] {
                Node::Dir(dir) if may_be_cut => (id, dir).hash(hasher),
                Node::Dir(dir) => (id, &dir.entries).hash(hasher),
                Node::File(contents) if may_be_cut => (id, contents).hash(hasher),
                Node::File(contents) => (id, contents.last()).hash(hasher),
            }
        }
    }

    /// Returns the files and directories that have a name, or may get one back by a power cut.
    fn named(&self, may_be_cut: bool) -> BTreeSet<NodeId> {
        let mut named = BTreeSet::new();
        let mut next = vec![ROOT];
        while let Some(node) = next.pop() {
            if named.insert(node)
                && let Node::Dir(dir) = &self.nodes[&node]
            {
                next.extend(dir.entries.values());
                if may_be_cut {
                    let kept = dir.history.iter().chain([&dir.durable]);
                    next.extend(kept.flat_map(BTreeMap::values));
                }
            }
        }
        named
    }

    /// Returns how many files and directories there have been.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Returns how often anything has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    fn change(
        &mut self,
        dir: NodeId,
        f: impl FnOnce(&mut BTreeMap<String, NodeId>),
    ) -> FsResult<()> {
        if self.aborted {
            return Err(error(FsErrorKind::Io));
        }
        self.changes += 1;
        let dir = self.dir(dir);
        f(&mut dir.entries);
        dir.history.push(dir.entries.clone());
        Ok(())
    }

    fn create(&mut self, dir: NodeId, name: &str, node: Node) -> FsResult<()> {
        if self.find(dir, name).is_ok() {
            return Err(error(FsErrorKind::Exists));
        }
        if !self.has_name(dir) {
            return Err(error(FsErrorKind::NotFound));
        }
        if self.full && !self.inodes_left {
            return Err(error(FsErrorKind::NoSpace));
        }
        let mut id = self.next;
        // A test may have created it.
        while self.nodes.contains_key(&id) {
            id = NodeId(id.0.wrapping_add(1));
        }
        self.nodes.insert(id, node);
        self.change(dir, |entries| {
            entries.insert(name.into(), id);
        })
    }

    /// Returns whether a directory is the root, or in it. Nothing can be created in one that was removed.
    fn has_name(&mut self, dir: NodeId) -> bool {
        dir == ROOT || self.dir(ROOT).entries.values().any(|it| *it == dir)
    }

    pub(crate) fn open_dir(&mut self, dir: NodeId, name: &str) -> FsResult<NodeId> {
        let node = self.find(dir, name)?;
        match self.nodes[&node] {
            Node::Dir(_) => Ok(node),
            Node::File(_) => Err(error(FsErrorKind::NotADirectory)),
        }
    }

    pub(crate) fn create_dir(&mut self, dir: NodeId, name: &str) -> FsResult<()> {
        self.create(dir, name, Node::Dir(Dir::default()))
    }

    pub(crate) fn create_file(&mut self, dir: NodeId, name: &str) -> FsResult<()> {
        self.create(dir, name, Node::File(vec![Vec::new()]))
    }

    pub(crate) fn names(&mut self, dir: NodeId) -> Vec<String> {
        self.dir(dir).entries.keys().cloned().collect()
    }

    /// Returns the names that are sure to survive a power cut.
    pub(crate) fn durable_names(&mut self, dir: NodeId) -> impl Iterator<Item = &str> {
        self.dir(dir).durable.keys().map(String::as_str)
    }

    /// Finds the entry of a directory that is sure to survive a power cut.
    pub(crate) fn durable_entry(&mut self, dir: NodeId, name: &str) -> Option<NodeId> {
        self.dir(dir).durable.get(name).copied()
    }

    /// Returns the entries of a directory.
    pub(crate) fn entries(&mut self, dir: NodeId) -> Vec<Entry> {
        let entries = self.dir(dir).entries.clone();
        let entry = |(name, node): (String, NodeId)| Entry {
            is_dir: matches!(self.nodes[&node], Node::Dir(_)),
            name,
        };
        entries.into_iter().map(entry).collect()
    }

    /// Makes the file's content survive. Its name needs [`Disk::sync`].
    pub(crate) fn sync_file(&mut self, dir: NodeId, name: &str) -> FsResult<()> {
        let node = self.find(dir, name)?;
        if self.aborted {
            return Ok(());
        }
        self.changes += 1;
        if let Some(Node::File(contents)) = self.nodes.get_mut(&node) {
            contents.drain(..contents.len() - 1);
        }
        Ok(())
    }

    pub(crate) fn rename(&mut self, dir: NodeId, from: &str, to: &str) -> FsResult<()> {
        self.rename_into(dir, from, dir, to)
    }

    /// Renames an entry, perhaps into another directory. A power cut may undo it in either of them alone: then the file
    /// has both names, or the old file of that name is there still, and the new one has none.
    pub(crate) fn rename_into(
        &mut self,
        dir: NodeId,
        from: &str,
        target_dir: NodeId,
        to: &str,
    ) -> FsResult<()> {
        let source = self.find(dir, from)?;
        if let Ok(target) = self.find(target_dir, to) {
            // For two links to one inode, the call does nothing and reports success.
            if target == source {
                return Ok(());
            }
            match (&self.nodes[&target], &self.nodes[&source]) {
                (Node::Dir(it), _) if !it.entries.is_empty() => {
                    return Err(error(FsErrorKind::NotEmpty));
                }
                (Node::Dir(_), Node::File(_)) => return Err(error(FsErrorKind::Other)),
                _ => {}
            }
        }
        if dir == target_dir {
            return self.change(dir, |entries| {
                entries.remove(from);
                entries.insert(to.into(), source);
            });
        }
        self.change(target_dir, |entries| {
            entries.insert(to.into(), source);
        })?;
        self.change(dir, |entries| {
            entries.remove(from);
        })
    }

    pub(crate) fn sync(&mut self, dir: NodeId) -> FsResult<()> {
        if self.aborted {
            return Ok(());
        }
        self.changes += 1;
        let dir = self.dir(dir);
        dir.durable = dir.entries.clone();
        dir.history.clear();
        Ok(())
    }

    pub(crate) fn read(&mut self, dir: NodeId, name: &str, limit: usize) -> FsResult<Vec<u8>> {
        let node = self.find(dir, name)?;
        match &self.nodes[&node] {
            Node::File(contents) => {
                let mut content = contents.last().cloned().unwrap_or_default();
                content.truncate(limit);
                Ok(content)
            }
            Node::Dir(_) => Err(error(FsErrorKind::Other)),
        }
    }

    pub(crate) fn open_file(&mut self, dir: NodeId, name: &str, create: bool) -> FsResult<NodeId> {
        if create && self.find(dir, name).is_err() {
            self.create_file(dir, name)?;
        }
        let node = self.find(dir, name)?;
        match self.nodes[&node] {
            Node::File(_) => Ok(node),
            Node::Dir(_) => Err(error(FsErrorKind::Other)),
        }
    }

    /// Returns the size of a file in bytes.
    pub(crate) fn size(&self, file: NodeId) -> u64 {
        match &self.nodes[&file] {
            Node::File(contents) => contents.last().map_or(0, Vec::len) as u64,
            Node::Dir(_) => unreachable!("only files are opened as such"),
        }
    }

    /// Writes at offset 0, and leaves what is beyond.
    pub(crate) fn write_to(&mut self, file: NodeId, bytes: &[u8]) -> FsResult<()> {
        if self.full && self.size(file) < bytes.len() as u64 {
            return Err(error(FsErrorKind::NoSpace));
        }
        self.edit(file, |content| {
            content.resize(content.len().max(bytes.len()), 0);
            content[..bytes.len()].copy_from_slice(bytes);
        });
        Ok(())
    }

    pub(crate) fn truncate(&mut self, file: NodeId, size: usize) -> FsResult<()> {
        self.edit(file, |content| content.truncate(size));
        Ok(())
    }

    fn edit(&mut self, file: NodeId, f: impl FnOnce(&mut Vec<u8>)) {
        self.changes += 1;
        let Some(Node::File(contents)) = self.nodes.get_mut(&file) else {
            unreachable!("only files are opened as such")
        };
        let mut content = contents.last().cloned().unwrap_or_default();
        f(&mut content);
        if contents.last() != Some(&content) {
            contents.push(content);
        }
    }

    /// Makes a second link to the file `name`, which a crash can leave on a file system without atomic renames.
    pub(crate) fn link(&mut self, dir: NodeId, name: &str, link: &str) -> FsResult<()> {
        let node = self.find(dir, name)?;
        self.change(dir, |entries| {
            entries.insert(link.into(), node);
        })
    }

    pub(crate) fn remove_file(&mut self, dir: NodeId, name: &str) -> FsResult<()> {
        self.find(dir, name)?;
        self.change(dir, |entries| {
            entries.remove(name);
        })
    }

    pub(crate) fn remove_dir(&mut self, dir: NodeId, name: &str) -> FsResult<()> {
        let node = self.open_dir(dir, name)?;
        if !self.dir(node).entries.is_empty() {
            return Err(error(FsErrorKind::NotEmpty));
        }
        self.change(dir, |entries| {
            entries.remove(name);
        })
    }
}
