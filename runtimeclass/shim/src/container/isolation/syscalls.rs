//! The system calls that a process may make if it runs or compiles WebAssembly. The shim adds this filter to the pod's own.
//! All calls that are not listed fail with EPERM. The kernel decides most calls by a bitmap, so the filter costs almost
//! nothing.

use anyhow::{Context, Result};
use libseccomp::{
    ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall, error::SeccompError,
};

/// The system calls of one kind of process.
pub(crate) struct Allowed {
    /// Calls that are allowed with any arguments.
    calls: &'static [&'static [&'static str]],
    /// Whether memory may become executable.
    runs_code: bool,
}

/// A process that compiles: it reads, computes on threads, and writes.
pub(crate) const COMPILER: Allowed = Allowed {
    calls: &[MEMORY, THREADS, STREAMS],
    runs_code: false,
};

/// A process that serves a component or runs a WASI command.
pub(crate) const GUEST: Allowed = Allowed {
    calls: &[MEMORY, THREADS, STREAMS, FILES, NETWORK, ITSELF],
    runs_code: true,
};

const MEMORY: &[&str] = &["brk", "madvise", "mincore", "mremap", "munmap"];

/// The calls of threads and of the C library that runs them. `clone` is checked below.
const THREADS: &[&str] = &[
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "get_robust_list",
    "getcpu",
    "getpid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "membarrier",
    "nanosleep",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "tgkill",
];

const STREAMS: &[&str] = &[
    "close", "fstat", "lseek", "read", "readv", "write", "writev",
];

/// The calls of WASI's file systems, below directories that are already open, and of the C library's files.
const FILES: &[&str] = &[
    "access",
    "copy_file_range",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fcntl",
    "fdatasync",
    "flock",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcwd",
    "getdents64",
    "linkat",
    "lstat",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "readahead",
    "readlink",
    "readlinkat",
    "renameat",
    "renameat2",
    "sendfile",
    "stat",
    "statfs",
    "statx",
    "symlinkat",
    "sync_file_range",
    "umask",
    "unlinkat",
    "utimensat",
];

/// The calls of an HTTP server and client. `socket` is checked below.
const NETWORK: &[&str] = &[
    "accept4",
    "bind",
    "connect",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd2",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "select",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socketpair",
];

/// The calls by which a process reads its own state and sets its own limits.
const ITSELF: &[&str] = &[
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getuid",
    "prlimit64",
    "setrlimit",
    "sysinfo",
    "times",
    "uname",
];

/// The families of sockets: the two of the internet, and netlink, by which the C library learns which of the two to use.
const FAMILIES: [i32; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// The requests of `ioctl`: about terminals, and about whether a call may block.
const REQUESTS: [u64; 6] = [
    libc::FIONBIO,
    libc::FIONREAD,
    libc::FIOCLEX,
    libc::TCGETS,
    libc::TIOCGWINSZ,
    libc::TIOCOUTQ,
];

/// The options of `prctl`: names of threads and of memory.
const NAMES: [i32; 3] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];

/// Restricts this process, and every thread that it creates later, permanently to the allowed calls.
pub(crate) fn allow(allowed: &Allowed) -> Result<()> {
    filter(allowed)
        .and_then(|filter| filter.load())
        .context("cannot restrict the system calls of this process")
}

fn filter(allowed: &Allowed) -> Result<ScmpFilterContext, SeccompError> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM))?;
    for name in allowed.calls.iter().copied().flatten() {
        filter.add_rule(ScmpAction::Allow, ScmpSyscall::from_name(name)?)?;
    }
    let mut if_argument = |name: &str, at: u32, compare: ScmpCompareOp, value: u64| {
        let argument = ScmpArgCompare::new(at, compare, value);
        let call = ScmpSyscall::from_name(name)?;
        filter.add_rule_conditional(ScmpAction::Allow, call, &[argument])?;
        Ok::<_, SeccompError>(())
    };
    // Threads, not processes. The flags of `clone3` are in memory and cannot be checked, so the C library gets ENOSYS and
    // uses `clone`.
    let thread = libc::CLONE_THREAD as u64;
    if_argument("clone", 0, ScmpCompareOp::MaskedEqual(thread), thread)?;
    let executable = match allowed.runs_code {
        true => 0,
        false => libc::PROT_EXEC as u64,
    };
    for name in ["mmap", "mprotect"] {
        if_argument(name, 2, ScmpCompareOp::MaskedEqual(executable), 0)?;
    }
    for value in NAMES {
        if_argument("prctl", 0, ScmpCompareOp::Equal, value as u64)?;
    }
    if allowed.runs_code {
        for value in FAMILIES {
            if_argument("socket", 0, ScmpCompareOp::Equal, value as u64)?;
        }
        for value in REQUESTS {
            if_argument("ioctl", 1, ScmpCompareOp::Equal, value)?;
        }
    }
    let clone3 = ScmpSyscall::from_name("clone3")?;
    filter.add_rule(ScmpAction::Errno(libc::ENOSYS), clone3)?;
    // A binary tree: calls that the bitmap does not decide take a few comparisons.
    filter.set_ctl_optimize(2)?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

    #[test]
    fn every_call_is_documented() {
        let documentation = include_str!("../../../../../docs/security.md");
        for name in GUEST.calls.iter().chain(COMPILER.calls).copied().flatten() {
            assert!(documentation.contains(&format!("`{name}`")), "{name}");
        }
    }

    /// Runs `work` on a thread with this filter. Other threads stay unfiltered.
    fn restricted<T: Send>(allowed: &Allowed, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                allow(allowed).expect("the kernel has filters");
                work()
            });
            thread.join().expect("it does not panic")
        })
    }

    fn map(protection: ProtFlags) -> Result<(), Errno> {
        // SAFETY: a new mapping that replaces no other one.
        let mapped =
            unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, protection, MapFlags::PRIVATE) };
        mapped.map(drop)
    }

    fn clone(flags: i32) -> Option<i32> {
        // SAFETY: the kernel refuses these flags, with or without the filter: threads share memory.
        let made = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        assert_eq!(made, -1);
        std::io::Error::last_os_error().raw_os_error()
    }

    #[test]
    fn a_compiler_cannot_run_its_code_or_open_files_or_sockets() {
        let seen = restricted(&COMPILER, || {
            let opened = std::fs::File::open("/dev/null").map_err(|error| error.raw_os_error());
            (
                map(ProtFlags::READ | ProtFlags::WRITE),
                map(ProtFlags::READ | ProtFlags::EXEC),
                opened.map(drop),
                std::net::TcpListener::bind("127.0.0.1:0").is_err(),
            )
        });
        assert_eq!(
            seen,
            (Ok(()), Err(Errno::PERM), Err(Some(libc::EPERM)), true)
        );
    }

    #[test]
    fn a_guest_has_files_and_internet_sockets_and_no_processes() {
        let (code, file, listener, local, program, thread, process) = restricted(&GUEST, || {
            (
                map(ProtFlags::READ | ProtFlags::EXEC),
                std::fs::File::open("/dev/null").is_ok(),
                std::net::TcpListener::bind("127.0.0.1:0").is_ok(),
                std::os::unix::net::UnixDatagram::unbound().is_ok(),
                std::process::Command::new("true").status().is_ok(),
                clone(libc::CLONE_THREAD),
                clone(libc::CLONE_PARENT | libc::CLONE_SIGHAND),
            )
        });
        assert_eq!((code, file, listener), (Ok(()), true, true));
        assert!(!local && !program);
        assert_eq!(thread, Some(libc::EINVAL));
        assert_eq!(process, Some(libc::EPERM));
    }
}
