//! The layers of an image with mapped ids. containerd's snapshotter may leave the mapping to the runtime: the options of the
//! root's overlay then have `uidmap` and `gidmap`, and each lower directory is to be mapped.

use super::Users;
use super::mapping::Ids;
use crate::detached::{Depth, DetachedMount};
use crate::request::{Location, Mount};
use anyhow::{Context, Result, bail, ensure};
use rustix::mount::{UnmountFlags, unmount};
use std::fs::File;
use std::path::{Path, PathBuf};

const LOWER: &str = "lowerdir=";

/// The options of a root mount, whose layers are mounted until this is dropped.
pub(crate) struct Layers {
    /// The options, without `uidmap` and `gidmap`.
    pub(crate) options: Vec<String>,
    directory: PathBuf,
    points: Vec<PathBuf>,
}

impl Layers {
    /// Maps the layers of the mount as its options require.
    pub(crate) fn of(
        mount: &Mount,
        location: &Location,
        users: &Users,
        namespace: Option<&File>,
    ) -> Result<Self> {
        let mut layers = Self {
            options: Vec::new(),
            directory: location.layers(),
            points: Vec::new(),
        };
        let option = |name: &str| {
            let mut options = mount.options.iter();
            options.find_map(|option| option.strip_prefix(name))
        };
        let (uids, gids) = match (option("uidmap="), option("gidmap=")) {
            (None, None) => {
                layers.options.clone_from(&mount.options);
                return Ok(layers);
            }
            (Some(uids), Some(gids)) => (uids, gids),
            _ => bail!("cannot map the ids of the image: only users or only groups are mapped"),
        };
        let ids = Ids::parse(uids, gids)?;
        let namespace = namespace.filter(|_| users.ids() == Some(&ids));
        let namespace = namespace.context(
            "cannot map the ids of the image: its mapping is not that of the container's user namespace",
        )?;
        ensure!(
            mount.kind == "overlay",
            "cannot map the ids of a {} file system",
            mount.kind
        );
        for option in &mount.options {
            if let Some(lower) = option.strip_prefix(LOWER) {
                let points = lower.split(':').map(|layer| layers.map(layer, namespace));
                let points: Vec<String> = points.collect::<Result<_>>()?;
                layers.options.push(format!("{LOWER}{}", points.join(":")));
            } else if !option.starts_with("uidmap=") && !option.starts_with("gidmap=") {
                layers.options.push(option.clone());
            }
        }
        Ok(layers)
    }

    /// Mounts a copy of the layer. It is read-only, so that a clean-up that finds it cannot remove the layer's files.
    fn map(&mut self, layer: &str, namespace: &File) -> Result<String> {
        let describe = || format!("cannot map the ids of the layer {layer}");
        let point = self.directory.join(self.points.len().to_string());
        std::fs::create_dir_all(&point).with_context(describe)?;
        let mount = DetachedMount::of(Path::new(layer), Depth::One).with_context(describe)?;
        mount.make_private().with_context(describe)?;
        mount.make_read_only().with_context(describe)?;
        mount.map_ids(namespace, Depth::One).with_context(|| {
            format!(
                "{} (does its file system support id-mapped mounts?)",
                describe()
            )
        })?;
        mount.attach(&point).with_context(describe)?;
        let text = point.to_str().map(str::to_owned);
        self.points.push(point);
        text.with_context(describe)
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        // The overlay has copies of its own.
        for point in &self.points {
            let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            if unmount(point, flags).is_ok() {
                let _ = std::fs::remove_dir(point);
            }
        }
        let _ = std::fs::remove_dir(&self.directory);
    }
}
