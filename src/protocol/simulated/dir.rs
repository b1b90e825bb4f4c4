//! The calls on the simulated volume: each one waits for the scheduler, and then takes effect at once.

use super::super::directory::{Directory, Entry, FsErrorKind, FsResult, OpenFile};
use super::World;
use super::disk::{self, Disk, NodeId};
use super::history::InstanceId;
use std::hash::Hash;
use std::rc::Rc;
use std::time::SystemTime;

/// A directory of the simulated volume.
#[derive(Clone)]
pub(crate) struct SimulatedDir {
    world: World,
    instance: InstanceId,
    node: NodeId,
}

impl SimulatedDir {
    /// Returns the root of the world's volume, for an instance.
    pub(super) fn root(world: World, instance: InstanceId) -> Self {
        SimulatedDir {
            world,
            instance,
            node: disk::ROOT,
        }
    }

    async fn call<T: Hash + 'static>(
        &self,
        call: &str,
        name: &str,
        effect: impl FnOnce(&mut Disk, NodeId, &str) -> FsResult<T> + 'static,
    ) -> FsResult<T> {
        let node = self.node;
        let label = label(call, name);
        let name = name.to_owned();
        self.world
            .call(self.instance, label, move |state| {
                effect(&mut state.disk, node, &name)
            })
            .await
    }
}

/// Returns the text of a call in the history.
fn label(call: &str, name: &str) -> Rc<str> {
    if name.is_empty() {
        return call.into();
    }
    [call, " ", name].concat().into()
}

/// Returns the number in the name of a ticket.
fn number(name: &str) -> Option<&str> {
    name.strip_prefix("ticket.")?.split('-').next()
}

/// A file of the simulated volume. It stays open if its name is removed or replaced.
pub(crate) struct SimulatedFile {
    world: World,
    instance: InstanceId,
    node: NodeId,
    /// The directory and the name that it was opened by.
    path: (NodeId, Rc<str>),
    size_when_opened: u64,
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.world.with(|state| {
            let open = &mut state.history.observed[self.instance].open;
            let this = open.iter().position(|node| *node == self.node);
            open.remove(this.expect("an open file is known"));
        });
    }
}

impl OpenFile for SimulatedFile {
    fn size_when_opened(&self) -> u64 {
        self.size_when_opened
    }

    async fn write(&self, bytes: &[u8]) -> FsResult<()> {
        let (node, bytes) = (self.node, bytes.to_vec());
        let (label, path) = (label("write", &self.path.1), self.path.clone());
        self.world
            .call(self.instance, label, move |state| {
                let lost = state.disk.find(path.0, &path.1) != Ok(node);
                state.history.lost_writes += usize::from(lost);
                state.disk.write_to(node, &bytes)
            })
            .await
    }

    async fn truncate(&self, size: u64) -> FsResult<()> {
        let node = self.node;
        let label = label("truncate", &self.path.1);
        self.world
            .call(self.instance, label, move |state| {
                state.disk.truncate(node, size as usize)
            })
            .await
    }
}

impl Directory for SimulatedDir {
    type File = SimulatedFile;

    async fn open_dir(&self, name: &str) -> FsResult<Self> {
        let node = self.call("open_dir", name, |disk, dir, name| disk.open_dir(dir, name));
        Ok(SimulatedDir {
            node: node.await?,
            instance: self.instance,
            world: self.world.clone(),
        })
    }

    async fn create_dir(&self, name: &str) -> FsResult<()> {
        self.call("create_dir", name, |disk, dir, name| {
            disk.create_dir(dir, name)
        })
        .await
    }

    async fn create_file(&self, name: &str) -> FsResult<()> {
        self.call("create_file", name, |disk, dir, name| {
            disk.create_file(dir, name)
        })
        .await
    }

    /// Makes two calls, because the real listing is many. An entry that is renamed in between ends the listing with an
    /// error, or shows under one of its names, both, or neither.
    async fn list(&self) -> FsResult<Vec<Entry>> {
        let before = self
            .call("list", "", |disk, dir, _| Ok(disk.entries(dir)))
            .await?;
        let node = self.node;
        self.world
            .call(self.instance, label("list", ""), move |state| {
                let after = state.disk.entries(node);
                if before == after {
                    return Ok(after);
                }
                state.history.torn_listings += 1;
                match state.below(5) {
                    0 => Err(disk::error(FsErrorKind::NotFound)),
                    1 => Ok(before),
                    2 => Ok(after),
                    3 => Ok(Vec::new()),
                    _ => Ok(after.into_iter().chain(before).collect()),
                }
            })
            .await
    }

    async fn sync_file(&self, name: &str) -> FsResult<()> {
        self.call("sync_file", name, |disk, dir, name| {
            disk.sync_file(dir, name)
        })
        .await
    }

    async fn rename(&self, from: &str, to: &str) -> FsResult<()> {
        let call = match number(from).is_some() && number(from) == number(to) {
            true => "rename again",
            false => "rename",
        };
        let to = to.to_owned();
        self.call(call, from, move |disk, dir, from| {
            disk.rename(dir, from, &to)
        })
        .await
    }

    async fn rename_into(&self, from: &str, target: &Self, to: &str) -> FsResult<()> {
        let (target, to) = (target.node, to.to_owned());
        self.call("rename", from, move |disk, dir, from| {
            disk.rename_into(dir, from, target, &to)
        })
        .await
    }

    async fn sync(&self) -> FsResult<()> {
        self.call("sync", "", |disk, dir, _| disk.sync(dir)).await
    }

    async fn read(&self, name: &str, limit: usize) -> FsResult<Vec<u8>> {
        self.call("read", name, move |disk, dir, name| {
            disk.read(dir, name, limit)
        })
        .await
    }

    async fn open_file(&self, name: &str, create: bool) -> FsResult<SimulatedFile> {
        let opened = self.call("open_file", name, move |disk, dir, name| {
            let node = disk.open_file(dir, name, create)?;
            Ok((node, disk.size(node)))
        });
        let (node, size_when_opened) = opened.await?;
        self.world.with(|state| {
            let open = &mut state.history.observed[self.instance].open;
            open.push(node);
            open.sort_unstable();
        });
        Ok(SimulatedFile {
            node,
            size_when_opened,
            path: (self.node, name.into()),
            instance: self.instance,
            world: self.world.clone(),
        })
    }

    async fn modified(&self, name: &str) -> FsResult<Option<SystemTime>> {
        self.call("modified", name, |disk, dir, name| {
            disk.find(dir, name)?;
            Ok(Some(SystemTime::UNIX_EPOCH))
        })
        .await
    }

    async fn remove_file(&self, name: &str) -> FsResult<()> {
        self.call("remove_file", name, |disk, dir, name| {
            disk.remove_file(dir, name)
        })
        .await
    }

    async fn remove_dir(&self, name: &str) -> FsResult<()> {
        self.call("remove_dir", name, |disk, dir, name| {
            disk.remove_dir(dir, name)
        })
        .await
    }
}
