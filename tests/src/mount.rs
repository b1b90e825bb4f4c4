//! A small ext4 file system as a volume, which tests can fill, freeze and make read-only. It needs root.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted 1 MiB ext4 file system, like a PersistentVolumeClaim of 1Mi. It is unmounted on drop.
#[derive(Debug)]
pub struct Ext4 {
    point: PathBuf,
}

impl Ext4 {
    /// Makes a file system in `POINT.img` and mounts it on the directory `point`.
    pub fn on(point: &Path) -> Result<Self> {
        let image = point.with_extension("img");
        File::create(&image)?.set_len(1 << 20)?;
        run("mkfs.ext4", &["-q", "-m", "0"], &image)?;
        let source = image
            .to_str()
            .context("the path of the image is not UTF-8")?;
        run("mount", &["-o", "loop", source], point)?;
        Ok(Self {
            point: point.to_owned(),
        })
    }

    /// Remounts it read-only.
    pub fn read_only(&self) -> Result<()> {
        run("mount", &["-o", "remount,ro"], &self.point)
    }

    /// Remounts it writable.
    pub fn writable(&self) -> Result<()> {
        run("mount", &["-o", "remount,rw"], &self.point)
    }

    /// Blocks every write, as storage that is gone does, until the guard is dropped.
    pub fn freeze(&self) -> Result<Frozen<'_>> {
        run("fsfreeze", &["--freeze"], &self.point)?;
        Ok(Frozen(&self.point))
    }

    /// Fills it completely.
    pub fn fill(&self) -> Result<()> {
        fill(&self.point)
    }
}

/// Fills the file system of this directory completely, with a file `filler` in it.
pub fn fill(directory: &Path) -> Result<()> {
    let mut filler = File::create(directory.join("filler"))?;
    for size in [64 << 10, 1 << 10, 1] {
        let chunk = vec![b'x'; size];
        while filler.write_all(&chunk).is_ok() && filler.sync_all().is_ok() {}
    }
    let another = fs::write(directory.join("another"), vec![b'x'; 4096]);
    ensure!(another.is_err(), "the volume is not full");
    let _ = fs::remove_file(directory.join("another"));
    filler
        .write_all(&vec![b'x'; 4096])
        .err()
        .context("the volume is not full")?;
    Ok(())
}

/// A frozen volume. Writes continue on drop.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = run("fsfreeze", &["--unfreeze"], self.0);
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // Lazily: a host that still uses it releases it when it is killed.
        let _ = run("umount", &["-l"], &self.point);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .arg(path)
        .output()
        .with_context(|| format!("cannot run {program}: is it installed?"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
