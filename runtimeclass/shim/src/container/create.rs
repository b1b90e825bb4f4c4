//! From a bundle to a container whose process waits to be started.

use super::code::{Store, owner};
use super::console::Console;
use super::executor::{Executor, manifest_of};
use super::{holder, inside, making, memory_limit, prepare, refuse, spec};
use crate::helper::hand_over;
use crate::request::{Create, Place};
use crate::stdio;
use anyhow::{Context, Result};
use containerd_shim::mount::mount_rootfs;
use libcgroups::common::CgroupConfig;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::utils::get_cgroup_path;
use preopen_host::cli::Container;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Makes the container and returns the id of its process, a child of this process's parent.
pub(super) fn create(request: &Create) -> Result<i32> {
    let place = &request.place;
    let rootfs = place.rootfs();
    let path = place.bundle.join("config.json");
    let spec = Spec::load(&path).with_context(|| path.display().to_string())?;
    refuse::check(&spec)?;
    let making = making::lock(place)?;
    make_private(&place.state)?;
    for mount in &request.rootfs {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        mount_rootfs(
            some(&mount.kind).as_deref(),
            some(&mount.source).as_deref(),
            &mount.options,
            &rootfs,
        )
        .with_context(|| format!("{}: mount the root file system", rootfs.display()))?;
    }
    let root = root(&spec, place)?;
    spec::make_plain(&path, &root)?;
    let spec = Spec::load(&path).with_context(|| path.display().to_string())?;
    for name in ["dev", "proc", "sys"] {
        inside::check_mount_point(&root, Path::new(name))?;
    }
    let holder = holder::confine(&spec, cgroup(&spec, request))?;
    make_working_directory(&spec, &root)?;
    let store = Store {
        cache: &request.cache,
        owner: &owner(&spec, place),
    };
    let code = prepare::code(&spec, &root, &store);
    let limit = memory_limit(&spec);
    let limit = match manifest_of(&spec) {
        Some(_) => Some(memory_limit::publish(place, limit)?),
        None => None,
    };
    let user = user(&spec);
    let mut builder = ContainerBuilder::new(place.id.clone(), SyscallType::default())
        .with_executor(Executor::init(Container::new(limit, code), making))
        .with_root_path(&place.state)
        .context("the directory of containers")?;
    let console = match request.terminal {
        true => Some(Console::listen(place)?),
        false => None,
    };
    if console.is_some() {
        builder = builder.with_console_socket(Some(place.console()));
    } else {
        let [stdin, stdout, stderr] = stdio::open_all(&request.stdio, user)?;
        builder = builder
            .with_stdin(stdin)
            .with_stdout(stdout)
            .with_stderr(stderr);
    }
    let container = builder
        .validate_id()
        .context("the container's id")?
        .as_init(&place.bundle)
        .as_sibling(true)
        .with_systemd(request.systemd_cgroup)
        .build()
        .map_err(|error| anyhow::Error::new(error).context("make the container"))?;
    let pid = container.pid().context("the container has no process")?;
    let pid = pid.as_raw();
    drop(holder);
    let terminal = console.map(|console| console.take(place, user));
    let terminal = terminal.transpose()?;
    hand_over(pid, terminal.as_ref())?;
    Ok(pid)
}

/// Opens the container's root directory: usually where the mounts of its root file system are.
fn root(spec: &Spec, place: &Place) -> Result<File> {
    let root = spec.root().as_ref();
    let root = root.context("the container has no root file system")?;
    let path = place.bundle.join(root.path());
    File::open(&path).with_context(|| path.display().to_string())
}

/// Returns the path of the cgroup that libcontainer makes for a container.
pub(super) fn cgroup_path(spec: &Spec, place: &Place) -> PathBuf {
    let linux = spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().clone());
    get_cgroup_path(&path, &place.id)
}

/// Returns the cgroup that libcontainer makes for the container.
fn cgroup(spec: &Spec, request: &Create) -> CgroupConfig {
    CgroupConfig {
        cgroup_path: cgroup_path(spec, &request.place),
        systemd_cgroup: request.systemd_cgroup,
        container_name: request.place.id.clone(),
    }
}

/// Makes the process's working directory if the image has none, as runc does and libcontainer does not
/// (docs/upstream/working-directory.md).
fn make_working_directory(spec: &Spec, root: &File) -> Result<()> {
    let Some(process) = spec.process() else {
        return Ok(());
    };
    match inside::find(root, process.cwd()) {
        Err(Errno::NOENT) => inside::make_directories(root, process.cwd()),
        // Whatever else is wrong with it, the process will report.
        _ => Ok(()),
    }
}

/// The user that the container's process becomes.
fn user(spec: &Spec) -> u32 {
    spec.process()
        .as_ref()
        .map_or(0, |process| process.user().uid())
}

/// The container's limit of memory in bytes.
fn memory_limit(spec: &Spec) -> Option<u64> {
    let resources = spec.linux().as_ref()?.resources().as_ref()?;
    // Negative is unlimited.
    let limit = resources.memory().as_ref()?.limit()?;
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

fn make_private(directory: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(directory)
        .with_context(|| format!("{}: make the directory of containers", directory.display()))
}
