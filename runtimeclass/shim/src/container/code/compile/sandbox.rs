//! The compiler's process. It reads a component from standard input and writes the code to standard output. It has no
//! capabilities, no file system, no network, a user and a PID namespace of its own, a short list of system calls, and
//! limits for processor time and memory.

use crate::container::isolation::{parent, syscalls};
use anyhow::{Context, Result};
use preopen_host::engine::Engine;
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::{Gid, Resource, Rlimit, Uid, chroot, setpriority_process, setrlimit};
use rustix::thread::{
    UnshareFlags, set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid,
};
use std::ffi::OsString;
use std::io::{Read, Write};

/// The argument that selects the compiler's role. The id of the process that started it follows.
pub(crate) const ROLE: &str = "compile";

/// The limit of processor time in seconds, over all threads.
const CPU_SECONDS: u64 = 200;
/// The limit of address space in bytes.
const ADDRESS_SPACE: u64 = 4 << 30;
/// The limit of threads of the compiler's user. The cgroup limits them too, if it has the controller.
const THREADS: u64 = 256;

/// The first user id of compilers. Each compiler has its own: this number plus the id of the process that started it. These
/// ids are free, because distributions, systemd and Kubernetes assign users below 2^31.
const FIRST_USER: u32 = 0xf000_0000;

/// Runs the compiler.
pub(crate) fn main(arguments: &[OsString]) -> Result<()> {
    // Waits until its limits are in force.
    flock(std::io::stdin(), FlockOperation::LockShared).context("cannot wait for the start")?;
    let number = arguments.first().and_then(|number| number.to_str());
    let number = number.context("the id of the parent process is missing")?;
    let user = FIRST_USER
        + number
            .parse::<u32>()
            .with_context(|| format!("{number} is not a process id"))?;
    drop_rights(user).context("cannot drop rights")?;
    // Last, because a change of user resets it.
    parent::end_with_parent()?;
    let mut wasm = Vec::new();
    std::io::stdin()
        .read_to_end(&mut wasm)
        .context("cannot read the component")?;
    syscalls::allow(&syscalls::COMPILER)?;
    let code = Engine::new()?.compile(&wasm)?.into_bytes();
    std::io::stdout()
        .write_all(&code)
        .context("cannot write the code")
}

/// Changes from root to a user that owns nothing, permanently. Each step needs rights that a later step drops.
fn drop_rights(user: u32) -> Result<()> {
    limit(Resource::Cpu, CPU_SECONDS)?;
    limit(Resource::As, ADDRESS_SPACE)?;
    limit(Resource::Fsize, preopen_host::cache::MAX_ENTRY)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nproc, THREADS)?;
    setpriority_process(None, 10)?;
    // The kernel kills this process first if the node's memory runs out.
    std::fs::write("/proc/self/oom_score_adj", "1000")
        .context("cannot write /proc/self/oom_score_adj")?;
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // SAFETY: this process has one thread, and the call closes no descriptor.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
        .context("cannot leave the node's namespaces")?;
    enter_nothing(user).context("cannot leave the file system")?;
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(user))?;
    // Last, because this drops the capabilities too. Later threads inherit the rights of this one.
    set_thread_uid(Uid::from_raw(user))?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Changes the root of this process to an empty directory, which is removed while this process is in it.
fn enter_nothing(user: u32) -> Result<()> {
    let path = format!("/run/preopen-nothing-{user}");
    rustix::fs::mkdir(&path, Mode::from_raw_mode(0o555))
        .with_context(|| format!("cannot create {path}"))?;
    let entered = std::env::set_current_dir(&path);
    std::fs::remove_dir(&path).with_context(|| format!("cannot remove {path}"))?;
    entered?;
    chroot(".")?;
    Ok(())
}

fn limit(resource: Resource, value: u64) -> Result<()> {
    let limit = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(resource, limit).with_context(|| format!("cannot limit {resource:?}"))
}
