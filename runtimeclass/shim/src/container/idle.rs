//! An idle process, forked from the helper. It keeps a cgroup or a namespace in existence while the helper sets that up.

use anyhow::{Context, Result, ensure};
use rustix::event::pause;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, getpid, getppid, kill_process,
    set_dumpable_behavior, set_parent_process_death_signal, waitpid,
};

/// An idle process. It is killed when this is dropped.
pub(super) struct Idle {
    process: Pid,
}

impl Idle {
    /// Forks the process, and waits until `enter` is done in it. The process must have one thread, and `enter` may only call
    /// the kernel.
    pub(super) fn start(enter: impl FnOnce() -> Result<(), Errno>) -> Result<Self> {
        let parent = getpid();
        let (done, report) = pipe_with(PipeFlags::CLOEXEC).context("cannot create a pipe")?;
        // SAFETY: this process has one thread, and the child calls nothing but the kernel.
        let process = unsafe { libc::fork() };
        if process == 0 {
            // No process of a namespace that this one enters may trace it.
            let entered = set_dumpable_behavior(DumpableBehavior::NotDumpable)
                .and_then(|()| enter())
                .and_then(|()| set_parent_process_death_signal(Some(Signal::KILL)));
            let code = entered.err().map_or(0, Errno::raw_os_error);
            let reported = rustix::io::write(&report, &code.to_ne_bytes()).is_ok();
            // The parent may have ended before the signal was set.
            if code == 0 && reported && getppid() == Some(parent) {
                pause();
            }
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) };
        }
        drop(report);
        let process = Pid::from_raw(process.max(0)).with_context(|| {
            let error = std::io::Error::last_os_error();
            format!("cannot fork: {error}")
        })?;
        let idle = Self { process };
        let mut code = [0; size_of::<i32>()];
        let read = rustix::io::retry_on_intr(|| rustix::io::read(&done, &mut code))?;
        ensure!(read == code.len(), "the idle process has ended");
        match i32::from_ne_bytes(code) {
            0 => Ok(idle),
            code => Err(Errno::from_raw_os_error(code).into()),
        }
    }

    /// Returns its process id.
    pub(super) fn pid(&self) -> i32 {
        self.process.as_raw_nonzero().get()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // The child was not waited for, so the id is still its own.
        let _ = kill_process(self.process, Signal::KILL);
        let _ = waitpid(Some(self.process), WaitOptions::empty());
    }
}
