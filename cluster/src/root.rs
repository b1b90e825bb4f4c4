//! The node's file systems. `/usr` and most others are the machine's. `/var`, `/opt`, `/tmp` and all changes in `/etc` are the
//! node's own. They lie on one ext4 in a file, which outlives a stop of the node and is removed with the cluster. (kubelet and
//! containerd need a real file system on a device: overlayfs does not work on overlayfs, and without a device kubelet has no
//! disk statistics.) `/run` is memory, as on every machine. kubelet's changes of kernel parameters stay on the node: see
//! [`SYSCTLS`].

use crate::binaries::Binaries;
use crate::paths::{KUBERNETES_BINARIES, NODE_BINARIES, PROCESSES, STATE};
use anyhow::{Context, Result, ensure};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_move,
};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use visits_support::mount::tmpfs;

/// The node's disk, as mounted inside.
const DISK: &str = "/run/visits/disk";
/// The disk's size; the file is sparse.
const DISK_SIZE: u64 = 16 << 30;
/// The directories of `/etc` that the node must not see. A machine that is a node itself keeps its networks and runtimes there.
const HIDDEN: [&str; 3] = ["cni", "containerd", "kubernetes"];
/// The directory with the node's values of [`SYSCTLS`].
const OWN_SYSCTLS: &str = "/run/visits/sysctls";
/// The kernel parameters, below `/proc/sys`, that kubelet sets on every node. They have no namespace, so kubelet would change
/// the machine.
const SYSCTLS: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// The parameters that make the node forward packets between its pods and the machine.
const FORWARD: [&str; 2] = [
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
];

/// Creates the disk, unless it exists.
pub(crate) fn make_disk(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    let make = || -> Result<()> {
        fs::File::create(&partial)?.set_len(DISK_SIZE)?;
        let mut mkfs = Command::new("mkfs.ext4");
        mkfs.args(["-q", "-F", "-m", "0"]).arg(&partial);
        visits_support::command::run(mkfs)?;
        Ok(fs::rename(&partial, path)?)
    };
    let made = make();
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// Mounts everything. After it, paths are the node's.
pub(crate) fn mount_all(state: &Path) -> Result<()> {
    let binaries = Binaries::from_environment()?;
    // /run is filled elsewhere and moved into place, because its sources may lie anywhere, even below /run, /var or /tmp.
    let mounts = state.join("mounts");
    make(&mounts)?;
    tmpfs(&mounts)?;
    let inside = |path: &str| mounts.join(path.trim_start_matches("/run/"));
    for (from, to) in [
        (state, STATE),
        (&binaries.node, NODE_BINARIES),
        (&binaries.kubernetes, KUBERNETES_BINARIES),
    ] {
        bind(from, &inside(to))?;
    }
    loop_mount(&state.join("disk.img"), &inside(DISK))?;
    for directory in [PROCESSES, "/run/lock"] {
        make(&inside(directory))?;
    }
    mount_move(&mounts, "/run").context("cannot move the node's /run into place")?;
    own_directories()?;
    cover_sysctls()?;
    // Mounts propagate to pods only from a shared mount.
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .context("cannot share the node's mounts with its pods")?;
    std::env::set_current_dir("/").context("cannot enter /")?;
    for sysctl in FORWARD {
        // They belong to the node's network namespace. The kernel may lack one of the families.
        if Path::new(sysctl).exists() {
            fs::write(sysctl, "1")
                .with_context(|| format!("cannot make the node forward packets: {sysctl}"))?;
        }
    }
    Ok(())
}

fn own_directories() -> Result<()> {
    let disk = Path::new(DISK);
    for name in [
        "opt",
        "tmp",
        "var",
        "var/cache",
        "var/lib",
        "var/log",
        "var/tmp",
    ] {
        make(&disk.join(name))?;
    }
    for name in ["tmp", "var/tmp"] {
        let path = disk.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777))
            .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    }
    let run = disk.join("var/run");
    if !run.is_symlink() {
        symlink("/run", &run).with_context(|| format!("cannot link {}", run.display()))?;
    }
    let etc = disk.join("etc");
    let (upper, work) = (etc.join("upper"), etc.join("work"));
    make(&upper)?;
    make(&work)?;
    let layers = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    mount(
        "visits",
        "/etc",
        "overlay",
        MountFlags::empty(),
        &*CString::new(layers)?,
    )
    .context("cannot mount the node's own layer over /etc")?;
    for name in HIDDEN {
        let own = etc.join("own").join(name);
        make(&own)?;
        bind(&own, &Path::new("/etc").join(name))?;
    }
    for name in ["opt", "tmp", "var"] {
        bind(&disk.join(name), &Path::new("/").join(name))?;
    }
    Ok(())
}

/// Mounts a file over each kernel parameter. kubelet writes to the file and reads its values back, and the machine keeps its
/// own.
fn cover_sysctls() -> Result<()> {
    make(Path::new(OWN_SYSCTLS))?;
    for name in SYSCTLS {
        let sysctl = Path::new("/proc/sys").join(name);
        // The kernel may be built without it.
        if !sysctl.exists() {
            continue;
        }
        let own = Path::new(OWN_SYSCTLS).join(name.replace('/', "."));
        let cover = || {
            fs::write(&own, fs::read(&sysctl)?)?;
            Ok::<_, std::io::Error>(mount_bind(&own, &sysctl)?)
        };
        cover().with_context(|| cannot_mount(&own, &sysctl))?;
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    make(to)?;
    mount_bind(from, to).with_context(|| cannot_mount(from, to))
}

fn loop_mount(image: &Path, point: &Path) -> Result<()> {
    make(point)?;
    let status = Command::new("mount")
        .args(["-o", "loop"])
        .args([image, point])
        .status()
        .context("cannot run mount (is util-linux installed?)")?;
    ensure!(status.success(), "{}: {status}", cannot_mount(image, point));
    Ok(())
}

fn cannot_mount(from: &Path, to: &Path) -> String {
    format!("cannot mount {} on {}", from.display(), to.display())
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}
