//! BPF programs that decide over devices: written from rules, loaded, and attached to a cgroup. A rule takes about six
//! instructions, so no library is needed. Names and numbers are those of the kernel's `linux/bpf.h`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::c_int;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The types of devices.
pub(super) const BPF_DEVCG_DEV_BLOCK: u32 = 1;
pub(super) const BPF_DEVCG_DEV_CHAR: u32 = 2;

/// The kinds of access to a device, each one bit.
pub(super) const BPF_DEVCG_ACC_MKNOD: u32 = 1;
pub(super) const BPF_DEVCG_ACC_READ: u32 = 2;
pub(super) const BPF_DEVCG_ACC_WRITE: u32 = 4;
pub(super) const ALL_ACCESS: u32 = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

/// One rule. A missing type, major or minor number stands for any.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) allow: bool,
    pub(super) kind: Option<u32>,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) access: u32,
}

impl Rule {
    /// Returns whether the rule matches all devices and all kinds of access.
    pub(super) fn is_everything(&self) -> bool {
        let any = self.kind.is_none() && self.major.is_none() && self.minor.is_none();
        any && self.access == ALL_ACCESS
    }
}

/// The kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction {
    code: u8,
    /// The destination in the low half, the source in the high half.
    registers: u8,
    off: i16,
    imm: i32,
}

/// The parts of an instruction's code. `BPF_W` and `BPF_K` are 0.
const BPF_LDX: u8 = 0x01;
const BPF_ALU: u8 = 0x04;
const BPF_JMP: u8 = 0x05;
const BPF_ALU64: u8 = 0x07;
const BPF_MEM: u8 = 0x60;
const BPF_X: u8 = 0x08;
const BPF_AND: u8 = 0x50;
const BPF_RSH: u8 = 0x70;
const BPF_MOV: u8 = 0xb0;
const BPF_JEQ: u8 = 0x10;
const BPF_JNE: u8 = 0x50;
const BPF_EXIT: u8 = 0x90;

/// The codes of the instructions that a program uses.
const LDX_MEM: u8 = BPF_LDX | BPF_MEM;
const MOV64_REG: u8 = BPF_ALU64 | BPF_MOV | BPF_X;
const MOV64_IMM: u8 = BPF_ALU64 | BPF_MOV;
const AND32_IMM: u8 = BPF_ALU | BPF_AND;
const RSH32_IMM: u8 = BPF_ALU | BPF_RSH;
const JNE_IMM: u8 = BPF_JMP | BPF_JNE;
const JEQ_IMM: u8 = BPF_JMP | BPF_JEQ;
const EXIT_INSN: u8 = BPF_JMP | BPF_EXIT;

/// The registers. The kernel passes the context in R1 and takes the result from R0: 1 to allow the access, 0 to deny it.
const R0: u8 = 0;
const R1: u8 = 1;
/// The device's type.
const R2: u8 = 2;
/// The access that no rule has allowed yet.
const R3: u8 = 3;
/// The device's major number.
const R4: u8 = 4;
/// The device's minor number.
const R5: u8 = 5;
/// The access that the current rule denies.
const R6: u8 = 6;

/// Returns an instruction with a constant.
fn imm(code: u8, destination: u8, value: u32) -> Instruction {
    Instruction {
        code,
        registers: destination,
        off: 0,
        // The same bits.
        imm: value.cast_signed(),
    }
}

/// Returns an instruction with a source register.
fn reg(code: u8, destination: u8, source: u8, off: i16) -> Instruction {
    Instruction {
        code,
        registers: destination | source << 4,
        off,
        imm: 0,
    }
}

/// Returns the program of these rules.
///
/// The last rule comes first. A rule that allows an access settles it. When all of the requested access is settled, the
/// program allows it. If a rule denies a part before that, or no rule matches a part, the program denies the whole.
pub(super) fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        // The context is `struct bpf_cgroup_dev_ctx`: the access above the type, the major and the minor number.
        reg(LDX_MEM, R3, R1, 0),
        reg(MOV64_REG, R2, R3, 0),
        imm(AND32_IMM, R2, 0xffff),
        imm(RSH32_IMM, R3, 16),
        reg(LDX_MEM, R4, R1, 4),
        reg(LDX_MEM, R5, R1, 8),
    ];
    for rule in rules.iter().rev() {
        let mut block = Vec::new();
        for (register, wanted) in [(R2, rule.kind), (R4, rule.major), (R5, rule.minor)] {
            block.extend(wanted.map(|wanted| imm(JNE_IMM, register, wanted)));
        }
        if rule.allow {
            block.push(imm(AND32_IMM, R3, ALL_ACCESS & !rule.access));
            block.push(imm(JNE_IMM, R3, 0));
        } else {
            block.push(reg(MOV64_REG, R6, R3, 0));
            block.push(imm(AND32_IMM, R6, rule.access));
            block.push(imm(JEQ_IMM, R6, 0));
        }
        block.push(imm(MOV64_IMM, R0, rule.allow.into()));
        block.push(imm(EXIT_INSN, 0, 0));
        // Each jump leads to the next rule, past the rest of this one.
        let length = block.len();
        for (at, instruction) in block.iter_mut().enumerate() {
            if matches!(instruction.code, JNE_IMM | JEQ_IMM) {
                // The offset is small, because a rule has at most eight instructions.
                instruction.off = (length - at - 1) as i16;
            }
        }
        program.extend(block);
    }
    program.extend([imm(MOV64_IMM, R0, 0), imm(EXIT_INSN, 0, 0)]);
    program
}

/// Commands of the system call `bpf`.
const BPF_PROG_LOAD: c_int = 5;
const BPF_PROG_ATTACH: c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Keeps the programs that others attach to the cgroup, such as systemd. All programs have to allow an access.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The part of the kernel's `union bpf_attr` that `BPF_PROG_LOAD` reads.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log: [u32; 2],
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The part of the kernel's `union bpf_attr` that `BPF_PROG_ATTACH` reads.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Attaches a program to a cgroup. The kernel removes it with the cgroup.
pub(super) fn attach(program: &[Instruction], cgroup: &File) -> Result<()> {
    let load = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log: [0; 2],
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // Kernels before 5.11 count programs as locked memory. If the limit cannot be raised and is too low, the load fails.
    let limit = getrlimit(Resource::Memlock);
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let _ = setrlimit(Resource::Memlock, unlimited);
    // SAFETY: `load` is the kernel's structure up to a field that it knows since 4.14. Its addresses outlive the call.
    let loaded = unsafe { bpf(BPF_PROG_LOAD, &load) };
    // Restored, because the container's process inherits the limit.
    let _ = setrlimit(Resource::Memlock, limit);
    // SAFETY: the kernel has just created this descriptor for this process.
    let loaded = unsafe { OwnedFd::from_raw_fd(loaded?) };
    let attach = AttachAttr {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: loaded.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attach` is the kernel's structure, and both descriptors are open.
    unsafe { bpf(BPF_PROG_ATTACH, &attach) }.map(drop)
}

/// Makes the system call `bpf`. Returns a descriptor or 0.
///
/// # Safety
///
/// `attr` is the structure that this command takes, and every address in it is valid.
unsafe fn bpf<T>(command: c_int, attr: &T) -> Result<c_int> {
    // SAFETY: the kernel reads no more than the given size.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if done < 0 {
        return Err(Error::last_os_error());
    }
    Ok(done as c_int)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns whether the kernel would allow the access.
    pub(in super::super) fn may(
        program: &[Instruction],
        kind: u32,
        major: u32,
        minor: u32,
        access: u32,
    ) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0_u32; 16];
        let mut at = 0_usize;
        loop {
            let Instruction {
                code,
                registers: of,
                off,
                imm,
            } = program[at];
            let (to, source) = (usize::from(of & 15), usize::from(of >> 4));
            let value = imm.cast_unsigned();
            at += 1;
            let jumps = match code {
                JNE_IMM => registers[to] != value,
                JEQ_IMM => registers[to] == value,
                _ => false,
            };
            match code {
                LDX_MEM => registers[to] = context[off as usize / 4],
                MOV64_REG => registers[to] = registers[source],
                MOV64_IMM => registers[to] = value,
                AND32_IMM => registers[to] &= value,
                RSH32_IMM => registers[to] >>= value,
                EXIT_INSN => return registers[usize::from(R0)] == 1,
                _ if jumps => at += off as usize,
                _ => {}
            }
        }
    }

    #[test]
    fn the_last_rule_that_matches_a_device_counts() {
        let all = Rule {
            allow: false,
            kind: None,
            major: None,
            minor: None,
            access: ALL_ACCESS,
        };
        let tape = Rule {
            allow: true,
            kind: Some(BPF_DEVCG_DEV_CHAR),
            major: Some(9),
            ..all
        };
        let [denied, allowed] = [[tape, all], [all, tape]].map(|rules| program(&rules));
        let read = |program, kind, major| may(program, kind, major, 0, BPF_DEVCG_ACC_READ);
        assert!(!read(&denied, BPF_DEVCG_DEV_CHAR, 9));
        assert!(read(&allowed, BPF_DEVCG_DEV_CHAR, 9));
        assert!(!read(&allowed, BPF_DEVCG_DEV_BLOCK, 9));
        assert!(!read(&allowed, BPF_DEVCG_DEV_CHAR, 8));
    }

    #[test]
    fn without_a_rule_access_is_denied() {
        let program = program(&[]);
        assert!(!may(&program, BPF_DEVCG_DEV_CHAR, 1, 3, BPF_DEVCG_ACC_READ));
    }
}
