//! The counter's volume on such a disk.

use crate::disk::{Cache, Disk, Failure};
use crate::file_system::{FileSystem, Found};
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::fs;
use std::path::{Path, PathBuf};
use visits_tests::App;

/// A counter whose volume is a file system on a disk of its own. It is unmounted on drop.
#[derive(Debug)]
pub(crate) struct Volume {
    file_system: FileSystem,
    cache: Cache,
    // Fields are dropped in this order: unmounted, detached, removed.
    mounted: Option<Mount>,
    disk: Option<Disk>,
    app: App,
}

impl Volume {
    /// Makes a file system and mounts it.
    ///
    /// # Errors
    /// Fails if the file system cannot be made, served or mounted.
    pub(crate) async fn new(
        file_system: FileSystem,
        cache: Cache,
        failure: Failure,
    ) -> Result<Self> {
        let app = App::counter()?;
        let image = image(&app);
        file_system.make(&image)?;
        let disk = Disk::serve(&image, cache, failure).await?;
        let mounted = Mount::of(file_system, disk.device(), &app.volume())?;
        Ok(Self {
            file_system,
            cache,
            mounted: Some(mounted),
            disk: Some(disk),
            app,
        })
    }

    /// Returns the application that has this volume.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Returns the directory on which it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.app.volume()
    }

    /// Returns the path of its disk's image.
    pub(crate) fn image(&self) -> PathBuf {
        image(&self.app)
    }

    /// Returns its disk.
    pub(crate) fn disk(&mut self) -> &mut Disk {
        self.disk.as_mut().expect("there is a disk between calls")
    }

    /// Unmounts it, brings the file system in order as an operator would, and mounts it again from what the image holds. If
    /// the power was not cut before, it is now.
    ///
    /// # Errors
    /// Fails if the file system cannot be repaired, or is not clean afterwards.
    pub(crate) async fn restore(&mut self) -> Result<Found> {
        let _ = self.disk().cut_power();
        self.mounted.take();
        self.disk.take();
        // A disk that ignores flushes would not even store a repair.
        let cache = match self.cache {
            Cache::Unsafe => Cache::Writeback,
            cache => cache,
        };
        let disk = Disk::serve(&image(&self.app), cache, Failure::Write).await?;
        let device = disk.device().to_owned();
        self.disk = Some(disk);
        let mut found = self.file_system.repair(&device)?;
        if self.file_system.is_replayed_by_mount() {
            drop(self.mount()?);
        }
        self.file_system.check(&device)?;
        self.mounted = Some(self.mount()?);
        let published = self.path().join("visits.bin");
        if self.file_system == FileSystem::Ext4WithoutJournal && published.is_dir() {
            // Its inode was that of a directory which was removed before, and only its name was stored. The counter's error
            // states this remedy.
            fs::remove_dir_all(published)?;
            found = Found::VisitsBinRemoved;
        }
        Ok(found)
    }

    /// Makes ext4 read-only as soon as it finds itself damaged, as fstab does on Debian and most others. By default it goes on.
    pub(crate) fn stop_at_errors(&self) -> Result<()> {
        mount_remount(self.path(), MountFlags::empty(), "errors=remount-ro")
            .context("cannot change the options of the volume")
    }

    fn mount(&mut self) -> Result<Mount> {
        let (file_system, point) = (self.file_system, self.app.volume());
        Mount::of(file_system, self.disk().device(), &point)
    }
}

/// Returns the path of the image, beside the volume.
fn image(app: &App) -> PathBuf {
    app.directory().join("disk.img")
}

/// A mounted file system.
#[derive(Debug)]
struct Mount(PathBuf);

impl Mount {
    fn of(file_system: FileSystem, device: &Path, point: &Path) -> Result<Self> {
        let (name, none) = (file_system.kernel_name(), MountFlags::empty());
        mount(device, point, name, none, c"")
            .with_context(|| format!("cannot mount {} as {name}", device.display()))?;
        Ok(Self(point.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily only if something still uses it: a lazy unmount does not wait until the device is released.
        if unmount(&self.0, UnmountFlags::empty()).is_err() {
            let _ = unmount(&self.0, UnmountFlags::DETACH);
        }
    }
}
