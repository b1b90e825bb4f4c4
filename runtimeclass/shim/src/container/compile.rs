//! Machine code for a component of an image, made by a process without rights.
//!
//! Whoever makes the code that every pod of an image maps must be out of every pod's reach: a pod could otherwise
//! change what the others run. And whoever compiles what a stranger wrote must have nothing to lose. So the compiler
//! is a process of the node's own, outside of the pod's namespaces and cgroup, and it is nobody: no capabilities, no
//! file system, no network, a bounded share of processor time and memory. What comes out is trusted as far as the
//! component itself: it runs in that component's pods and nowhere else.

use crate::helper;
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{
    Gid, Pid, PidfdFlags, Resource, Rlimit, Uid, chroot, pidfd_open, setpriority_process, setrlimit,
};
use rustix::thread::{
    UnshareFlags, set_no_new_privs, set_thread_gid, set_thread_groups, set_thread_uid,
};
use std::io::{Read, Seek, Write};
use std::process::Stdio;
use std::time::Duration;

/// The argument that makes this binary the compiler.
pub(super) const ROLE: &str = "compile";

/// How long it may take; below the deadline of the call that waits for it.
const DEADLINE: Duration = Duration::from_secs(100);
/// Seconds of processor time, over all its threads.
const PROCESSOR: u64 = 200;
/// Bytes of address space. The compiler takes some twenty times the component's size.
const MEMORY: u64 = 4 << 30;
/// Bytes of machine code.
const CODE: u64 = 512 << 20;
/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// Has a component or a module compiled by a process of its own, whose id `confine` gets at once.
pub(super) fn apart(wasm: &[u8], confine: impl Fn(i32) -> Result<()>) -> Result<Vec<u8>> {
    let mut input = helper::memory("wasm")?;
    input.write_all(wasm)?;
    input.rewind()?;
    let mut errors = helper::memory("errors")?;
    let mut output = helper::memory("code")?;
    let mut command = helper::command(&[ROLE]);
    let mut child = command
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(errors.try_clone()?))
        .spawn()
        .context("start the compiler")?;
    let pid = Pid::from_child(&child);
    if let Err(error) = confine(pid.as_raw_nonzero().get()) {
        child.kill().context("stop the compiler")?;
        child.wait()?;
        return Err(error);
    }
    let process = pidfd_open(pid, PidfdFlags::empty()).context("the compiler's process")?;
    let deadline = Timespec {
        tv_sec: DEADLINE.as_secs() as i64,
        tv_nsec: 0,
    };
    // Readable once the process has ended.
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&deadline));
    if !matches!(ended, Ok(1)) {
        child.kill().context("stop the compiler")?;
        child.wait()?;
        bail!("the compiler was stopped: not done within {DEADLINE:?}");
    }
    let status = child.wait()?;
    if !status.success() {
        let mut said = Vec::new();
        errors.rewind()?;
        // A compiler gone mad may have written much.
        errors.take(4096).read_to_end(&mut said)?;
        let said = String::from_utf8_lossy(&said);
        bail!("the compiler: {} ({status})", said.trim());
    }
    output.rewind()?;
    let mut code = Vec::new();
    output.take(CODE).read_to_end(&mut code)?;
    Ok(code)
}

/// The compiler: the component on standard input, its code on standard output.
pub(super) fn main() -> Result<()> {
    give_up_rights().context("give up rights")?;
    // After that, which would undo it.
    super::end_with_parent()?;
    let mut wasm = Vec::new();
    std::io::stdin()
        .read_to_end(&mut wasm)
        .context("read the component")?;
    let engine = preopen_host::engine::engine()?;
    let code = preopen_host::code::compile(&engine, &wasm)?;
    std::io::stdout().write_all(&code).context("write the code")
}

/// From root to nobody, for good. Each step needs what a later one takes away.
fn give_up_rights() -> Result<()> {
    limit(Resource::Cpu, PROCESSOR)?;
    limit(Resource::As, MEMORY)?;
    limit(Resource::Fsize, CODE)?;
    limit(Resource::Core, 0)?;
    setpriority_process(None, 10)?;
    // The first to go when the node's memory runs out.
    std::fs::write("/proc/self/oom_score_adj", "1000").context("/proc/self/oom_score_adj")?;
    let apart = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    // SAFETY: the file system is unshared while this process has one thread, and no descriptor is closed by it.
    unsafe { rustix::thread::unshare_unsafe(apart) }.context("leave the node's namespaces")?;
    enter_nothing().context("leave the file system")?;
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(NOBODY))?;
    // The last, for it takes the capabilities too. Threads that are made later have what this one has.
    set_thread_uid(Uid::from_raw(NOBODY))?;
    set_no_new_privs(true)?;
    Ok(())
}

/// Makes a directory that nothing is in the root of this process: one that is removed while it is entered.
fn enter_nothing() -> Result<()> {
    let path = format!("/run/preopen-nothing-{}", std::process::id());
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
