//! Machine code for a component of an image, made by a process without rights (see [`sandbox`]).
//!
//! Whoever makes the code that every pod of an image maps must be out of every pod's reach: a pod could otherwise
//! change what the others run. And whoever compiles what a stranger wrote must have nothing to lose. So the compiler
//! is a process of the node's own, outside of the pod's namespaces and cgroup. What comes out is not trusted by the
//! node: the containers of that component map it, after they have lost their rights.

mod sandbox;

pub(super) use sandbox::{ROLE, main};

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

/// How long it may take. With the wait for a turn it is below the deadline of the call.
const DEADLINE: Duration = Duration::from_secs(100);
/// Bytes of memory. The compiler takes some twenty times the component's size.
const MEMORY: i64 = 1 << 30;
/// Processes and threads.
const PIDS: i64 = 256;
/// Half the processor time of a cgroup that asks for nothing.
const SHARES: u64 = 512;

/// Whose memory and processor time the compiler uses.
pub(super) enum Account<'a> {
    /// The node's, in a cgroup with limits of its own.
    Node,
    /// A container's: within its limits.
    Container(&'a Cgroup),
}

/// Has a component or a module compiled by a process of its own. Returns the file with its code.
pub(super) fn apart(wasm: &File, account: &Account<'_>) -> Result<File> {
    let errors = helper::memory("errors")?;
    let mut code = helper::memory("code")?;
    // The compiler waits for this lock: it starts to work once it is confined.
    flock(wasm, FlockOperation::LockExclusive)?;
    let mut child = spawn(wasm, &code, &errors).context("cannot start the compiler")?;
    let pid = Pid::from_child(&child);
    let mut limits = Limits::default();
    let ended = limits.apply(pid, account).and_then(|()| {
        flock(wasm, FlockOperation::Unlock)?;
        wait(pid)
    });
    // One that has ended already does not mind.
    let _ = child.kill();
    let status = child.wait()?;
    // A cgroup can be removed when nothing is in it any more.
    drop(limits);
    ended?;
    if !status.success() {
        bail!("the compiler: {} ({status})", first_words(errors)?);
    }
    code.rewind()?;
    Ok(code)
}

/// Starts the compiler as the first process of a new process namespace: when it ends, so does all that it forked.
fn spawn(wasm: &File, code: &File, errors: &File) -> Result<Child> {
    // Opened anew, for reading only: a lock belongs to an opened file.
    let wasm = rustix::fs::open(
        format!("/proc/self/fd/{}", wasm.as_raw_fd()),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    // No other process has the number of this one.
    let mut command = helper::command_again(&[ROLE, &std::process::id().to_string()]);
    command
        .stdin(Stdio::from(wasm))
        .stdout(Stdio::from(code.try_clone()?))
        .stderr(Stdio::from(errors.try_clone()?));
    let own = File::open("/proc/self/ns/pid").context("/proc/self/ns/pid")?;
    // SAFETY: changes the namespace of children that this process makes; no descriptor is closed by it.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .context("cannot make a process namespace")?;
    let spawned = command.spawn();
    // The container's processes, which this one makes later, are not to be in there.
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .context("cannot leave the process namespace")?;
    Ok(spawned?)
}

/// Waits until the process has ended. Fails at the deadline.
fn wait(pid: Pid) -> Result<()> {
    let process = pidfd_open(pid, PidfdFlags::empty()).context("the compiler's process")?;
    let deadline = Timespec {
        tv_sec: DEADLINE.as_secs() as i64,
        tv_nsec: 0,
    };
    // Readable once the process has ended.
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline));
    ensure!(
        matches!(ended, Ok(1)),
        "the compiler was stopped: not done within {DEADLINE:?}"
    );
    Ok(())
}

/// Returns the beginning of what the compiler wrote. It may have written much.
fn first_words(mut errors: File) -> Result<String> {
    let mut said = Vec::new();
    errors.rewind()?;
    errors.take(4096).read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// The limits of one compiler: a cgroup of its own, removed when this is dropped, or that of a container.
#[derive(Default)]
struct Limits {
    cgroup: Option<AnyCgroupManager>,
}

impl Limits {
    /// Puts a process within its limits.
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
            eprintln!("cannot remove the compiler's cgroup: {error}");
        }
    }
}
