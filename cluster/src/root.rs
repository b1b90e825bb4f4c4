//! The node's file systems. `/usr` and most else are the machine's. `/var`, `/opt` and `/tmp` are the node's own, and so
//! is what it changes in `/etc`: all on one ext4 in a file, which outlives a stop of the node and goes with the cluster.
//! (kubelet and containerd want a real file system with a device of its own: overlayfs on overlayfs does not work, and
//! without a device kubelet has no statistics of its disk.) `/run` is memory, as on every machine. And what kubelet sets for
//! the whole kernel is set for nobody: see [`KERNEL`].

use crate::programs::Binaries;
use anyhow::{Context, Result, ensure};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_move,
};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// The cluster's directory, inside.
pub(crate) const STATE: &str = "/run/visits/state";
/// containerd, runc and the network's plugins.
pub(crate) const NODE_BINARIES: &str = "/run/visits/node";
/// Kubernetes and etcd.
pub(crate) const KUBERNETES_BINARIES: &str = "/run/visits/kubernetes";
/// What the node's programs note of themselves.
pub(crate) const PROCESSES: &str = "/run/visits/processes";

/// The node's disk, as it is mounted inside.
const DISK: &str = "/run/visits/disk";
/// The disk's size; the file is sparse.
const DISK_SIZE: u64 = 16 << 30;
/// What of `/etc` is not even seen: a machine that is a node itself has networks and runtimes there, which are not this node's.
const HIDDEN: [&str; 3] = ["cni", "containerd", "kubernetes"];
/// Where the node's values of [`KERNEL`] are.
const SETTINGS: &str = "/run/visits/settings";
/// What kubelet sets on every node, below `/proc/sys`. There is no namespace for it: it would be the machine's.
const KERNEL: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// What makes the node pass packets on between its pods and the machine.
const FORWARD: [&str; 2] = [
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
];

/// Makes the disk, where there is none.
pub(crate) fn make_disk(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    let make = || -> Result<()> {
        fs::File::create(&partial)?.set_len(DISK_SIZE)?;
        let mut mkfs = Command::new("mkfs.ext4");
        mkfs.args(["-q", "-F", "-m", "0"]).arg(&partial);
        crate::command::run(mkfs)?;
        Ok(fs::rename(&partial, path)?)
    };
    let made = make();
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    made.with_context(|| format!("make {}", path.display()))
}

/// Mounts everything. From here on paths are the node's.
pub(crate) fn furnish(state: &Path) -> Result<()> {
    let binaries = Binaries::from_environment()?;
    // /run is made elsewhere and moved to its place, for what goes into it may lie anywhere: below /run, /var or /tmp too.
    let mounts = state.join("mounts");
    fs::create_dir_all(&mounts).with_context(|| format!("make {}", mounts.display()))?;
    memory(&mounts)?;
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
    mount_move(&mounts, "/run").context("move the node's /run into its place")?;
    own_directories()?;
    own_settings()?;
    // What the pods' mounts hang below has to be shared, within the node.
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .context("share the node's mounts among its pods")?;
    std::env::set_current_dir("/").context("/")?;
    for setting in FORWARD {
        // The node's own: it has a network namespace. A kernel may be without one of the families.
        if Path::new(setting).exists() {
            fs::write(setting, "1")
                .with_context(|| format!("let the node forward packets: {setting}"))?;
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
            .with_context(|| path.display().to_string())?;
    }
    let run = disk.join("var/run");
    if !run.is_symlink() {
        symlink("/run", &run).with_context(|| format!("link {}", run.display()))?;
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
    .context("mount a layer of the node's own over /etc")?;
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

/// Lays a file over each setting: kubelet writes what it wants and finds it there, and the machine keeps what it has.
fn own_settings() -> Result<()> {
    make(Path::new(SETTINGS))?;
    for name in KERNEL {
        let setting = Path::new("/proc/sys").join(name);
        // A kernel may be built without it.
        if !setting.exists() {
            continue;
        }
        let own = Path::new(SETTINGS).join(name.replace('/', "."));
        let lay = || {
            fs::write(&own, fs::read(&setting)?)?;
            Ok::<_, std::io::Error>(mount_bind(&own, &setting)?)
        };
        lay().with_context(|| format!("mount {} on {}", own.display(), setting.display()))?;
    }
    Ok(())
}

fn memory(directory: &Path) -> Result<()> {
    mount(
        "tmpfs",
        directory,
        "tmpfs",
        MountFlags::empty(),
        c"mode=0755",
    )
    .with_context(|| format!("mount a temporary file system on {}", directory.display()))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    make(to)?;
    mount_bind(from, to).with_context(|| format!("mount {} on {}", from.display(), to.display()))
}

fn loop_mount(image: &Path, point: &Path) -> Result<()> {
    make(point)?;
    let status = Command::new("mount")
        .args(["-o", "loop"])
        .args([image, point])
        .status()
        .context("run mount, which is part of util-linux")?;
    ensure!(
        status.success(),
        "mount {} on {}: {status}",
        image.display(),
        point.display()
    );
    Ok(())
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))
}
