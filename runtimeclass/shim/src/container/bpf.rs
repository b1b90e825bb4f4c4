//! The kernel's programs that decide over devices: written from rules, loaded, attached to a cgroup. They are a dozen
//! instructions a rule, so no library is needed. The numbers are those of the kernel's `linux/bpf.h`.

use std::ffi::c_int;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The kinds of devices.
pub(super) const BLOCK: u32 = 1;
pub(super) const CHARACTER: u32 = 2;

/// What is done with a device, each a bit.
pub(super) const MAKE: u32 = 1;
pub(super) const READ: u32 = 2;
pub(super) const WRITE: u32 = 4;
pub(super) const ALL: u32 = MAKE | READ | WRITE;

/// One rule; what it leaves out is any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) allow: bool,
    pub(super) kind: Option<u32>,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) access: u32,
}

impl Rule {
    /// Whether it speaks of all devices and all that is done with them.
    pub(super) fn is_everything(&self) -> bool {
        let any = self.kind.is_none() && self.major.is_none() && self.minor.is_none();
        any && self.access == ALL
    }
}

/// One instruction, as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction {
    code: u8,
    /// The destination below, the source above.
    registers: u8,
    offset: i16,
    value: i32,
}

/// Instructions, all with a constant but the first two.
const LOAD: u8 = 0x61;
const COPY: u8 = 0xbf;
const SET: u8 = 0xb7;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_UNLESS: u8 = 0x55;
const JUMP_IF: u8 = 0x15;
const EXIT: u8 = 0x95;

/// Registers: the answer, the question, and what the program keeps.
const ANSWER: u8 = 0;
const QUESTION: u8 = 1;
const KIND: u8 = 2;
/// What no rule has allowed yet.
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const DENIED: u8 = 6;

fn with(code: u8, destination: u8, value: u32) -> Instruction {
    Instruction {
        code,
        registers: destination,
        offset: 0,
        // The same bits.
        value: value.cast_signed(),
    }
}

fn from(code: u8, destination: u8, source: u8, offset: i16) -> Instruction {
    Instruction {
        code,
        registers: destination | source << 4,
        offset,
        value: 0,
    }
}

/// The program of these rules. It begins with the last one: what that allows is settled, and when everything that is
/// asked for is settled the answer is yes; what a rule denies before that, or no rule speaks of, is a no.
pub(super) fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        // The question is three numbers: access above kind, major, minor.
        from(LOAD, ACCESS, QUESTION, 0),
        from(COPY, KIND, ACCESS, 0),
        with(AND, KIND, 0xffff),
        with(SHIFT_RIGHT, ACCESS, 16),
        from(LOAD, MAJOR, QUESTION, 4),
        from(LOAD, MINOR, QUESTION, 8),
    ];
    for rule in rules.iter().rev() {
        let mut block = Vec::new();
        for (register, wanted) in [(KIND, rule.kind), (MAJOR, rule.major), (MINOR, rule.minor)] {
            block.extend(wanted.map(|wanted| with(JUMP_UNLESS, register, wanted)));
        }
        if rule.allow {
            block.push(with(AND, ACCESS, ALL & !rule.access));
            block.push(with(JUMP_UNLESS, ACCESS, 0));
        } else {
            block.push(from(COPY, DENIED, ACCESS, 0));
            block.push(with(AND, DENIED, rule.access));
            block.push(with(JUMP_IF, DENIED, 0));
        }
        block.push(with(SET, ANSWER, rule.allow.into()));
        block.push(with(EXIT, 0, 0));
        // Each jump is to the next rule, past the rest of this one.
        let length = block.len();
        for (at, instruction) in block.iter_mut().enumerate() {
            if matches!(instruction.code, JUMP_UNLESS | JUMP_IF) {
                // A rule is a handful of instructions.
                instruction.offset = (length - at - 1) as i16;
            }
        }
        program.extend(block);
    }
    program.extend([with(SET, ANSWER, 0), with(EXIT, 0, 0)]);
    program
}

const PROGRAM_LOAD: c_int = 5;
const PROGRAM_ATTACH: c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Beside those that others attach here, systemd for one: all have to say yes.
const ALLOW_MULTI: u32 = 2;

#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u32; 2],
    log_buffer: u64,
    kernel: u32,
    flags: u32,
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Attaches a program to a cgroup, with which it goes.
pub(super) fn attach(program: &[Instruction], cgroup: &File) -> Result<()> {
    // Kernels before 5.11 count programs as locked memory. This process ends soon, and forks no container any more.
    let all = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: reads the structure during the call. Where it is refused, loading tells.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &all) };
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log: [0; 2],
        log_buffer: 0,
        kernel: 0,
        flags: 0,
    };
    // SAFETY: `load` is the kernel's structure up to a field that it knows since 4.14; what it points to outlives the call.
    let loaded = unsafe { call(PROGRAM_LOAD, &load) }?;
    // SAFETY: the kernel has just made this descriptor, for nobody else.
    let loaded = unsafe { OwnedFd::from_raw_fd(loaded) };
    let attach = Attach {
        target: cgroup.as_raw_fd() as u32,
        program: loaded.as_raw_fd() as u32,
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: `attach` is the kernel's structure; both descriptors are open.
    unsafe { call(PROGRAM_ATTACH, &attach) }.map(drop)
}

/// The system call `bpf`.
///
/// # Safety
///
/// `what` is the structure that this command takes, and every address in it is valid.
unsafe fn call<T>(command: c_int, what: &T) -> Result<c_int> {
    // SAFETY: the kernel reads no more than the size it is told.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, what, size_of::<T>()) };
    if done < 0 {
        return Err(Error::last_os_error());
    }
    // A descriptor or 0.
    Ok(done as c_int)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the kernel would answer.
    pub(in super::super) fn may(
        program: &[Instruction],
        kind: u32,
        major: u32,
        minor: u32,
        access: u32,
    ) -> bool {
        let question = [access << 16 | kind, major, minor];
        let mut registers = [0_u32; 16];
        let mut at = 0_usize;
        loop {
            let Instruction {
                code,
                registers: of,
                offset,
                value,
            } = program[at];
            let (to, source) = (usize::from(of & 15), usize::from(of >> 4));
            let value = value.cast_unsigned();
            at += 1;
            let jumps = match code {
                JUMP_UNLESS => registers[to] != value,
                JUMP_IF => registers[to] == value,
                _ => false,
            };
            match code {
                LOAD => registers[to] = question[offset as usize / 4],
                COPY => registers[to] = registers[source],
                SET => registers[to] = value,
                AND => registers[to] &= value,
                SHIFT_RIGHT => registers[to] >>= value,
                EXIT => return registers[usize::from(ANSWER)] == 1,
                _ if jumps => at += offset as usize,
                _ => {}
            }
        }
    }

    #[test]
    fn the_last_rule_that_speaks_of_a_device_counts() {
        let all = Rule {
            allow: false,
            kind: None,
            major: None,
            minor: None,
            access: ALL,
        };
        let tape = Rule {
            allow: true,
            kind: Some(CHARACTER),
            major: Some(9),
            ..all
        };
        let [denied, allowed] = [[tape, all], [all, tape]].map(|rules| program(&rules));
        assert!(!may(&denied, CHARACTER, 9, 0, READ));
        assert!(may(&allowed, CHARACTER, 9, 0, READ));
        assert!(!may(&allowed, BLOCK, 9, 0, READ));
        assert!(!may(&allowed, CHARACTER, 8, 0, READ));
    }

    #[test]
    fn no_rule_is_a_no() {
        assert!(!may(&program(&[]), CHARACTER, 1, 3, READ));
    }
}
