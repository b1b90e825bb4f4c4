//! The compiler's process: the component on standard input, its code on standard output, and nothing else. It has no
//! capabilities, no file system, no network, a user and a process namespace of its own, a dozen system calls, and a
//! bounded share of processor time and memory.

use crate::container::{end_with_parent, syscalls};
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::{Gid, Resource, Rlimit, Uid, chroot, setpriority_process, setrlimit};
use rustix::thread::{
    UnshareFlags, set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid,
};
use std::ffi::OsString;
use std::io::{Read, Write};

/// The argument that makes this binary the compiler. The number of the process that started it follows.
pub(in crate::container) const ROLE: &str = "compile";

/// Seconds of processor time, over all its threads.
const PROCESSOR: u64 = 200;
/// Bytes of address space.
const ADDRESSES: u64 = 4 << 30;
/// Threads of its user. The cgroup limits them too, where there is one that can.
const THREADS: u64 = 256;

/// The first of the users that compilers have, each its own: the number of the process that started it is added.
/// Nobody else has them: distributions, systemd and Kubernetes give out users below 2^31.
const FIRST_USER: u32 = 0xf000_0000;

/// Runs the compiler.
pub(in crate::container) fn main(arguments: &[OsString]) -> Result<()> {
    // Waits until it is confined.
    flock(std::io::stdin(), FlockOperation::LockShared).context("wait for the start")?;
    let number = arguments.first().and_then(|number| number.to_str());
    let number = number.context("the number of the process that started this one is missing")?;
    let user = FIRST_USER + number.parse::<u32>().context("the number of a process")?;
    give_up_rights(user).context("give up rights")?;
    // After that, which would undo it.
    end_with_parent()?;
    let mut wasm = Vec::new();
    std::io::stdin()
        .read_to_end(&mut wasm)
        .context("read the component")?;
    syscalls::allow(&syscalls::COMPILER)?;
    let engine = preopen_host::engine::engine()?;
    let code = preopen_host::code::compile(&engine, &wasm)?;
    std::io::stdout().write_all(&code).context("write the code")
}

/// From root to a user that owns nothing, for good. Each step needs what a later one takes away.
fn give_up_rights(user: u32) -> Result<()> {
    limit(Resource::Cpu, PROCESSOR)?;
    limit(Resource::As, ADDRESSES)?;
    limit(Resource::Fsize, preopen_host::cache::MAX_ENTRY)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nproc, THREADS)?;
    setpriority_process(None, 10)?;
    // The first to go when the node's memory runs out.
    std::fs::write("/proc/self/oom_score_adj", "1000").context("/proc/self/oom_score_adj")?;
    let apart = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // SAFETY: the file system is unshared while this process has one thread, and no descriptor is closed by it.
    unsafe { rustix::thread::unshare_unsafe(apart) }.context("leave the node's namespaces")?;
    enter_nothing(user).context("leave the file system")?;
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(user))?;
    // The last, for it takes the capabilities too. Threads that are made later have what this one has.
    set_thread_uid(Uid::from_raw(user))?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Makes a directory that nothing is in the root of this process: one that is removed while it is entered.
fn enter_nothing(user: u32) -> Result<()> {
    let path = format!("/run/preopen-nothing-{user}");
    rustix::fs::mkdir(&path, Mode::from_raw_mode(0o555)).with_context(|| path.clone())?;
    let entered = std::env::set_current_dir(&path);
    std::fs::remove_dir(&path).with_context(|| path.clone())?;
    entered?;
    chroot(".")?;
    Ok(())
}

fn limit(resource: Resource, value: u64) -> Result<()> {
    let limit = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    setrlimit(resource, limit).with_context(|| format!("limit {resource:?}"))
}
