//! Mounted volumes, which need root: a read-only one is the component's error, and the log names one that promises less than a
//! disk.

mod syncs;

use crate::common::{has_logged, text};
use anyhow::{Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use std::path::PathBuf;
use visits_support::mount::tmpfs;
use visits_tests::{App, Ext4, Host, artifacts};

/// An application whose volume is a temporary file system. It is unmounted on drop.
struct Mounted {
    app: App,
    volume: PathBuf,
}

impl Mounted {
    fn new() -> Result<Self> {
        let app = App::new(&artifacts::probe_wasm()?)?;
        let volume = app.volume();
        tmpfs(&volume)?;
        Ok(Self { app, volume })
    }

    fn remount(&self, flags: MountFlags) -> Result<()> {
        Ok(mount_remount(&self.volume, flags, "")?)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, because a host may still use it.
        let _ = unmount(&self.volume, UnmountFlags::DETACH);
    }
}

#[tokio::test]
#[ignore = "needs root"]
async fn a_read_only_mount_is_an_error_of_the_components_call() -> Result<()> {
    let mounted = Mounted::new()?;
    mounted.remount(MountFlags::RDONLY)?;
    let host = Host::of(&mounted.app).start().await?;
    let refused = text(&host, "/write?name=new").await?;
    ensure!(refused.starts_with("/app/persistent/new: "), "{refused}");
    // The error is the mount's: the same call succeeds without it.
    mounted.remount(MountFlags::empty())?;
    let written = text(&host, "/write?name=new").await?;
    ensure!(written == "written\n", "{written}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_log_names_a_volume_that_promises_less_than_a_disk_and_serves_it() -> Result<()> {
    let mounted = Mounted::new()?;
    let host = Host::of(&mounted.app).start().await?;
    let log = host.wait_log("the volume ").await?;
    let message = log["fields"]["message"].as_str().unwrap_or_default();
    let expected = format!("the volume {} is on tmpfs: ", mounted.volume.display());
    ensure!(
        log["level"] == "WARN" && message.starts_with(&expected),
        "{log}"
    );
    ensure!(text(&host, "/write?name=new").await? == "written\n");
    Ok(())
}

#[tokio::test]
#[ignore = "needs root"]
async fn the_log_does_not_warn_about_a_volume_on_a_disk() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let _disk = Ext4::on(&app.volume())?;
    let host = Host::of(&app).start().await?;
    ensure!(text(&host, "/write?name=new").await? == "written\n");
    ensure!(!has_logged(&host, "the volume "), host.failed("a warning"));
    Ok(())
}
