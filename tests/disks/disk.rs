//! A block device that nbdkit serves from an image, and what can happen to it.

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use visits_tests::command::run;
use visits_tests::wait;

/// How long the programs behind the device may take to start.
const START: Duration = Duration::from_secs(20);

/// How nbdkit treats what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Holds every write back until a flush, and then stores all of them.
    Writeback,
    /// The same, but stores one sector of 512 bytes after the other. So a power cut may tear a block of the file system.
    Sectors,
    /// Ignores flushes, as a disk that lies does.
    Unsafe,
    /// Holds every write back until a flush, and makes writes at the same time. Those of a block that names a ticket take
    /// much longer than flushes, and these longer than other writes.
    SlowTickets,
}

/// What fails while the disk fails: see [`Disk::fail`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Every write.
    Write,
    /// Every flush that has something to store.
    Flush,
}

/// An image served as a block device. It ends on drop, without storing what was not flushed.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: TempDir,
    nbdkit: Child,
    nbdfuse: Child,
    device: PathBuf,
    attached: bool,
}

impl Disk {
    /// Serves the image.
    ///
    /// # Errors
    /// Fails if one of the programs does not start.
    pub(crate) async fn serve(image: &Path, cache: Cache, failure: Failure) -> Result<Self> {
        let directory = TempDir::new().context("cannot make a directory for a disk")?;
        let socket = directory.path().join("nbd");
        let nbdkit = serve(image, &socket, &switch(&directory), cache, failure)?;
        let mut nbdkit = Guard(Some(nbdkit));
        // The socket exists a moment before it accepts connections.
        let accepts = || UnixStream::connect(&socket).is_ok();
        started("nbdkit", &mut nbdkit, accepts).await?;
        let fuse = directory.path().join("fuse");
        fs::create_dir(&fuse)?;
        let file = fuse.join("disk");
        let mut nbdfuse = Guard(Some(show(&socket, &file)?));
        started("nbdfuse", &mut nbdfuse, || file.is_file()).await?;
        let mut attach = Command::new("losetup");
        attach.args(["--find", "--show"]).arg(&file);
        if cache == Cache::SlowTickets {
            // Otherwise the kernel makes one write after the other.
            attach.arg("--direct-io=on");
        }
        let device = run(attach)?.trim_end().into();
        Ok(Self {
            directory,
            nbdkit: nbdkit.take(),
            nbdfuse: nbdfuse.take(),
            device,
            attached: true,
        })
    }

    /// Returns the path of the block device.
    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Cuts the power: the disk never answers again, and what was not flushed is lost.
    ///
    /// # Errors
    /// Fails if nbdkit has ended before.
    pub(crate) fn cut_power(&mut self) -> Result<()> {
        let ended = self.nbdkit.try_wait()?;
        ensure!(ended.is_none(), "nbdkit has ended by itself: {ended:?}");
        self.nbdkit.kill()?;
        self.nbdkit.wait()?;
        Ok(())
    }

    /// Detaches the block device. The kernel does so when nobody uses it any more.
    ///
    /// # Errors
    /// Fails if it is detached already.
    pub(crate) fn detach(&mut self) -> Result<()> {
        ensure!(self.attached, "the device is detached already");
        // Only once, because the device may be another disk's afterwards.
        self.attached = false;
        let mut detach = Command::new("losetup");
        detach.arg("--detach").arg(&self.device);
        run(detach).map(drop)
    }

    /// Takes the file away that the block device stands on.
    ///
    /// # Errors
    /// Fails if nbdfuse cannot be killed.
    pub(crate) fn take_away(&mut self) -> Result<()> {
        self.nbdfuse.kill()?;
        self.nbdfuse.wait()?;
        Ok(())
    }

    /// Lets the disk fail until [`Disk::work`]. What fails was chosen when it was served.
    ///
    /// # Errors
    /// Fails if the directory cannot be written to.
    pub(crate) fn fail(&self) -> Result<()> {
        File::create(switch(&self.directory))?;
        Ok(())
    }

    /// Lets the disk work again.
    ///
    /// # Errors
    /// Fails if it does not fail.
    pub(crate) fn work(&self) -> Result<()> {
        Ok(fs::remove_file(switch(&self.directory))?)
    }

    /// Lets the disk hang until [`Disk::go_on`].
    ///
    /// # Errors
    /// Fails if nbdkit has ended.
    pub(crate) fn hang(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets the disk answer again, and what it did not answer before.
    ///
    /// # Errors
    /// Fails if nbdkit has ended.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.nbdkit), signal).context("cannot signal nbdkit")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // First, because a disk that hangs would block everything below.
        end(&mut self.nbdkit);
        if self.attached
            && let Err(error) = self.detach()
        {
            eprintln!("cannot detach a disk: {error:#}");
        }
        let _ = unmount(self.directory.path().join("fuse"), UnmountFlags::DETACH);
        end(&mut self.nbdfuse);
    }
}

/// A program that is ended unless it is taken.
struct Guard(Option<Child>);

impl Guard {
    fn take(mut self) -> Child {
        self.0.take().expect("taken once")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Returns the path of the file that exists while the disk fails.
fn switch(directory: &TempDir) -> PathBuf {
    directory.path().join("failing")
}

fn serve(
    image: &Path,
    socket: &Path,
    switch: &Path,
    cache: Cache,
    failure: Failure,
) -> Result<Child> {
    let mut nbdkit = Command::new("nbdkit");
    nbdkit.args(["--foreground", "--unix"]).arg(socket);
    if cache == Cache::SlowTickets {
        nbdkit.arg("eval").args(slow_tickets(image)?);
        return start(nbdkit);
    }
    // A request passes the filters in this order. A failing write behind the cache is one that a flush makes.
    nbdkit.args(match failure {
        Failure::Write => ["--filter=error", "--filter=cache"],
        Failure::Flush => ["--filter=cache", "--filter=error"],
    });
    if cache == Cache::Sectors {
        nbdkit.arg("--filter=blocksize");
    }
    nbdkit.arg("file").arg(image);
    nbdkit.arg(match cache {
        Cache::Writeback | Cache::Sectors | Cache::SlowTickets => "cache=writeback",
        Cache::Unsafe => "cache=unsafe",
    });
    if cache == Cache::Sectors {
        nbdkit.arg("maxdata=512");
    }
    for kind in ["pwrite", "zero", "trim"] {
        nbdkit.arg(format!("error-{kind}-rate=100%"));
        nbdkit.arg(argument(&format!("error-{kind}-file"), switch));
    }
    start(nbdkit)
}

/// Returns what each request does, as lines of shell. Writes go to a file beside the image, and a flush stores that one.
fn slow_tickets(image: &Path) -> Result<[String; 8]> {
    let cache = image.with_extension("cache");
    fs::copy(image, &cache).with_context(|| format!("cannot copy {}", image.display()))?;
    let (image, cache) = (image.display(), cache.display());
    Ok([
        "thread_model=echo parallel".into(),
        // So that nbdfuse uses several connections.
        "can_multi_conn=exit 0".into(),
        "can_write=exit 0".into(),
        "can_flush=exit 0".into(),
        format!("get_size=stat --format %s '{cache}'"),
        format!("pread=dd if='{cache}' iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none"),
        format!(
            "pwrite=block=$tmpdir/$$ && cat >$block && if grep --quiet ticket $block; then sleep 0.1; fi &&
             dd if=$block of='{cache}' oflag=seek_bytes conv=notrunc seek=$4 status=none; rm $block"
        ),
        format!("flush=cp '{cache}' $tmpdir/$$ && sleep 0.02 && mv $tmpdir/$$ '{image}'"),
    ])
}

/// Starts nbdfuse, which shows what is served as this file.
fn show(socket: &Path, file: &Path) -> Result<Child> {
    let mut nbdfuse = Command::new("nbdfuse");
    nbdfuse.arg(file);
    nbdfuse.arg(argument("nbd+unix:///?socket", socket));
    // Where its core may be left: nbdfuse 1.14 aborts if its server disappears.
    nbdfuse.current_dir(file.parent().and_then(Path::parent).unwrap_or(file));
    start(nbdfuse)
}

fn argument(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(format!("{name}="));
    argument.push(path);
    argument
}

fn start(mut command: Command) -> Result<Child> {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null());
    command
        .spawn()
        .with_context(|| format!("cannot run {}: is it installed?", program.display()))
}

async fn started(what: &str, child: &mut Guard, ready: impl Fn() -> bool) -> Result<()> {
    wait::until(&format!("{what} serves"), START, async || {
        if let Some(child) = &mut child.0
            && let Some(status) = child.try_wait()?
        {
            anyhow::bail!("{what} ended: {status}");
        }
        Ok(ready().then_some(()))
    })
    .await
}
