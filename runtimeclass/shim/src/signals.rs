//! Signals for all processes of a cgroup. The kernel reuses process ids, so each process is first opened (pidfd). It gets
//! the signal only if its id is still in the cgroup afterwards.

use crate::process::to_pid;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;

/// Sends a signal to each of the processes that `processes` returns. Skips processes that have ended in the meantime.
pub(crate) fn send(signal: Signal, processes: impl Fn() -> Vec<i32>) {
    let open = |pid: i32| {
        Some((
            pid,
            pidfd_open(to_pid(pid).ok()?, PidfdFlags::empty()).ok()?,
        ))
    };
    let opened: Vec<(i32, OwnedFd)> = processes().into_iter().filter_map(open).collect();
    let remaining = processes();
    for (_, process) in opened.iter().filter(|(pid, _)| remaining.contains(pid)) {
        let _ = pidfd_send_signal(process, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    fn sleeper() -> (Child, i32) {
        let child = Command::new("sleep").arg("1000").spawn();
        let child = child.expect("sleep is a program");
        let pid = i32::try_from(child.id()).expect("a process id");
        (child, pid)
    }

    #[test]
    fn only_a_process_that_is_still_in_the_cgroup_gets_the_signal() {
        let (mut inside, inside_pid) = sleeper();
        let (mut gone, gone_pid) = sleeper();
        let calls = Cell::new(0);
        send(Signal::KILL, || {
            calls.set(calls.get() + 1);
            match calls.get() {
                1 => vec![inside_pid, gone_pid, i32::MAX],
                _ => vec![inside_pid],
            }
        });
        let ended = inside.wait().expect("a child");
        assert_eq!(ended.signal(), Some(9));
        assert!(gone.try_wait().expect("a child").is_none());
        gone.kill().expect("a child");
        gone.wait().expect("a child");
    }
}
