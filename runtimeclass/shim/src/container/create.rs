//! The request to create a container: from a bundle to a process that waits to be started.

use super::bundle::{rewrite, rootfs, spec};
use super::code::prepare;
use super::code::store::Store;
use super::console::Console;
use super::executor::Executor;
use super::resources::{holder, memory_limit};
use super::users::{self, Layers, Users};
use super::{create_lock, propagation, refuse};
use crate::helper::hand_over;
use crate::request::CreateRequest;
use crate::stdio;
use anyhow::{Context, Result};
use containerd_shim::mount::mount_rootfs;
use libcgroups::common::CgroupConfig;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use preopen_host::cli;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Creates the container and returns the id of its process, which is a child of this process's parent.
pub(super) fn create(request: &CreateRequest) -> Result<i32> {
    let location = &request.location;
    let spec = spec::load(location)?;
    let users = refuse::check(&spec)?;
    let lock = create_lock::lock(location)?;
    make_private(&location.state)?;
    let namespace = users::open(&spec, &users)?;
    mount_root(request, &users, namespace.as_ref())?;
    let root = spec::root(&spec, location)?;
    let root = File::open(&root).with_context(|| format!("cannot open {}", root.display()))?;
    rewrite::config(&location.config(), &root)?;
    let mut spec = spec::load(location)?;
    for name in ["dev", "proc", "sys"] {
        rootfs::check_mount_point(&root, Path::new(name))?;
    }
    let cgroup = CgroupConfig {
        cgroup_path: spec::cgroup_path(&spec, location),
        systemd_cgroup: request.systemd_cgroup,
        container_name: location.id.clone(),
    };
    let holder = holder::create_cgroup(&spec, cgroup)?;
    make_working_directory(&spec, &root, &users)?;
    let store = Store {
        cache: &request.cache,
        owner: &spec::owner(&spec, location),
    };
    let code = prepare::code(&spec, &root, &store);
    let limit = match spec::manifest(&spec) {
        Some(_) => Some(memory_limit::publish(location, spec::memory_limit(&spec))?),
        None => None,
    };
    let user = users.user(spec::user(&spec))?;
    let container = cli::Container::new(limit, code);
    let mut builder = ContainerBuilder::new(location.id.clone(), SyscallType::default())
        .with_executor(Executor::init(container, lock))
        .with_root_path(&location.state)
        .with_context(|| format!("cannot use {}", location.state.display()))?;
    let console = match request.terminal {
        true => Some(Console::listen(location)?),
        false => None,
    };
    if console.is_some() {
        builder = builder.with_console_socket(Some(location.console()));
    } else {
        let [stdin, stdout, stderr] = stdio::open_all(&request.stdio, user)?;
        builder = builder
            .with_stdin(stdin)
            .with_stdout(stdout)
            .with_stderr(stderr);
    }
    let joined = match namespace {
        Some(namespace) => {
            users::set_limits(&spec)?;
            users::join(&mut spec, location, namespace)?
        }
        None => Vec::new(),
    };
    let container = builder
        .validate_id()
        .context("invalid container id")?
        .as_init(&location.bundle)
        .as_sibling(true)
        .with_systemd(request.systemd_cgroup)
        .build()?;
    let pid = container.pid().context("the container has no process")?;
    let pid = pid.as_raw();
    propagation::apply(&spec, pid)?;
    drop((holder, joined));
    let terminal = console.map(|console| console.take(location, user));
    let terminal = terminal.transpose()?;
    hand_over(pid, terminal.as_slice())?;
    Ok(pid)
}

/// Mounts the container's root file system.
fn mount_root(request: &CreateRequest, users: &Users, namespace: Option<&File>) -> Result<()> {
    let rootfs = request.location.rootfs();
    for mount in &request.rootfs {
        let layers = Layers::of(mount, &request.location, users, namespace)?;
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        mount_rootfs(
            some(&mount.kind).as_deref(),
            some(&mount.source).as_deref(),
            &layers.options,
            &rootfs,
        )
        .with_context(|| format!("cannot mount the root file system on {}", rootfs.display()))?;
    }
    Ok(())
}

/// Creates the process's working directory if the image has none. runc does so too, libcontainer does not
/// (docs/upstream/working-directory.md).
fn make_working_directory(spec: &Spec, root: &File, users: &Users) -> Result<()> {
    let Some(process) = spec.process() else {
        return Ok(());
    };
    match rootfs::find(root, process.cwd()) {
        Err(Errno::NOENT) => {
            let owner = (users.user(0)?, users.group(0)?);
            rootfs::make_directories(root, process.cwd(), owner)
        }
        // The container's process reports any other error.
        _ => Ok(()),
    }
}

fn make_private(directory: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(directory)
        .with_context(|| format!("cannot create {}", directory.display()))
}
