//! Machine code for a component of an image, compiled by a process without rights (see [`sandbox`]).
//!
//! Every pod of an image maps the same code, so no pod may reach the compiler: it could change the code that other pods run.
//! And the component comes from a stranger, so the compiler must have no rights that it could lose to the component.
//! Therefore the compiler is a process of the node, outside of the pod's namespaces and cgroup. The node does not trust its
//! output: only the containers of that component map it, after they have dropped their rights.

mod sandbox;

pub(crate) use sandbox::{ROLE, main};

use crate::cgroup::Cgroup;
use crate::helper;
use anyhow::{Context, Result, bail, ensure};
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager,
};
use libcontainer::oci_spec::runtime::{
    LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Stdio};
use std::time::Duration;

/// The time limit of a compiler. Together with the wait for a turn it is below the deadline of the call.
const DEADLINE: Duration = Duration::from_secs(100);
/// The memory limit in bytes. The compiler needs about twenty times the component's size.
const MEMORY: i64 = 1 << 30;
/// The maximum number of processes and threads.
const PIDS: i64 = 256;
/// The CPU shares: half of the default of a cgroup.
const SHARES: u64 = 512;

/// The owner of the memory and processor time that a compiler uses.
pub(crate) enum Account<'a> {
    /// The node, in a cgroup with limits of its own.
    Node,
    /// A container, within its limits.
    Container(&'a Cgroup),
}

/// Compiles a component or a module in a process of its own. Returns a file with its code.
pub(crate) fn apart(wasm: &File, account: &Account<'_>) -> Result<File> {
    let errors = helper::memory("errors")?;
    let mut code = helper::memory("code")?;
    // The compiler waits for this lock, so it starts to work only when its limits are in force.
    flock(wasm, FlockOperation::LockExclusive)?;
    let mut child = spawn(wasm, &code, &errors).context("cannot start the compiler")?;
    let pid = Pid::from_child(&child);
    let mut limits = Limits::default();
    let ended = limits.apply(pid, account).and_then(|()| {
        flock(wasm, FlockOperation::Unlock)?;
        wait(pid)
    });
    // Fails if the compiler has already ended.
    let _ = child.kill();
    let status = child.wait()?;
    // Removes the cgroup, which must be empty.
    drop(limits);
    ended?;
    if !status.success() {
        bail!("the compiler failed ({status}): {}", beginning(errors)?);
    }
    code.rewind()?;
    Ok(code)
}

/// Starts the compiler as the first process of a new PID namespace: when it ends, so does all that it forked.
fn spawn(wasm: &File, code: &File, errors: &File) -> Result<Child> {
    // Opened again because a lock belongs to an open file, and for reading only.
    let wasm = rustix::fs::open(
        format!("/proc/self/fd/{}", wasm.as_raw_fd()),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // The compiler derives its user from this process's id, which no other process has.
    let mut command = helper::command_again(&[ROLE, &std::process::id().to_string()]);
    command
        .stdin(Stdio::from(wasm))
        .stdout(Stdio::from(code.try_clone()?))
        .stderr(Stdio::from(errors.try_clone()?));
    let own = File::open("/proc/self/ns/pid").context("cannot open /proc/self/ns/pid")?;
    // SAFETY: changes the namespace of future children only, and closes no descriptor.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .context("cannot create a PID namespace")?;
    let spawned = command.spawn();
    // The container's processes, which this process creates later, must not be in that namespace.
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .context("cannot leave the PID namespace")?;
    Ok(spawned?)
}

/// Waits until the process ends. Fails at the deadline.
fn wait(pid: Pid) -> Result<()> {
    let process =
        pidfd_open(pid, PidfdFlags::empty()).context("cannot open the compiler's process")?;
    let deadline = Timespec {
        tv_sec: DEADLINE.as_secs() as i64,
        tv_nsec: 0,
    };
    // Readable once the process has ended.
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline));
    ensure!(
        matches!(ended, Ok(1)),
        "the compiler was stopped after {DEADLINE:?}"
    );
    Ok(())
}

/// Returns the beginning of the compiler's standard error, whose length the compiler controls.
fn beginning(mut errors: File) -> Result<String> {
    let mut bytes = Vec::new();
    errors.rewind()?;
    errors.take(4096).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The limits of one compiler: a container's cgroup, or a cgroup of its own that is removed when this is dropped.
#[derive(Default)]
struct Limits {
    cgroup: Option<AnyCgroupManager>,
}

impl Limits {
    /// Applies the limits to a process.
    fn apply(&mut self, pid: Pid, account: &Account<'_>) -> Result<()> {
        let pid = pid.as_raw_nonzero().get();
        if let Account::Container(cgroup) = account {
            return cgroup.add(pid);
        }
        let name = format!("preopen-compiler-{}", std::process::id());
        let describe = || format!("cannot limit the compiler by the cgroup /{name}");
        let cgroup = create_cgroup_manager(CgroupConfig {
            cgroup_path: format!("/{name}").into(),
            systemd_cgroup: false,
            container_name: name.clone(),
        })
        .with_context(describe)?;
        let cgroup = self.cgroup.insert(cgroup);
        let resources = resources()?;
        let limits = ControllerOpt {
            resources: &resources,
            disable_oom_killer: false,
            oom_score_adj: None,
            freezer_state: None,
        };
        cgroup
            .add_task(nix::unistd::Pid::from_raw(pid))
            .and_then(|()| cgroup.apply(&limits))
            .with_context(describe)
    }
}

fn resources() -> Result<LinuxResources> {
    let memory = LinuxMemoryBuilder::default().limit(MEMORY).build()?;
    let pids = LinuxPidsBuilder::default().limit(PIDS).build()?;
    let cpu = LinuxCpuBuilder::default().shares(SHARES).build()?;
    let resources = LinuxResourcesBuilder::default();
    Ok(resources.memory(memory).pids(pids).cpu(cpu).build()?)
}

impl Drop for Limits {
    fn drop(&mut self) {
        let removed = self.cgroup.as_ref().map(CgroupManager::remove);
        if let Some(Err(error)) = removed {
            let error = error.to_string();
            eprintln!("compiler's cgroup not removed error={error:?}");
        }
    }
}
