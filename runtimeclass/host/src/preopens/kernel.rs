//! Refuses file systems that are interfaces of the kernel, because a component could leave its sandbox through them
//! (`/proc/self/mem`) or change the machine.
//!
//! `fstatfs` reports the type of the directory itself. The list of mounts shows mounts below it, and devtmpfs, which
//! has the same type as tmpfs in `fstatfs`.

use super::Preopen;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The type numbers and names of these file systems. The numbers are from the kernel's include/uapi/linux/magic.h or
/// else from the file system's source. The names are those in the list of mounts.
const KERNEL: [(u32, &str); 22] = [
    (0x0000_9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6265_6570, "configfs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x5a3c_69f0, "apparmorfs"),
    (0x6573_5543, "fusectl"),
    (0x0000_1cd1, "devpts"),
    (0x1980_0202, "mqueue"),
    (0x6e73_6673, "nsfs"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e66_7364, "nfsd"),
    (0x0765_5821, "resctrl"),
];
/// Its type number is that of tmpfs or ramfs.
const DEVTMPFS: &str = "devtmpfs";
/// The list of this process's mounts (proc_pid_mountinfo(5)).
const MOUNTS: &str = "/proc/self/mountinfo";

/// The mounted interfaces of the kernel. Empty if the list cannot be read: directories are then checked only by type.
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    at: PathBuf,
    kind: &'static str,
}

impl Mounts {
    /// Reads the list of mounts.
    pub(super) fn read() -> Self {
        Self(parse(&std::fs::read(MOUNTS).unwrap_or_default()))
    }

    /// Fails if the directory is in an interface of the kernel, or if one is mounted below it.
    pub(super) fn check(&self, preopen: &Preopen, directory: &File) -> Result<()> {
        let path = preopen.host.display();
        let statfs = rustix::fs::fstatfs(directory)
            .with_context(|| format!("{path}: cannot read its file system's type"))?;
        // The field's type differs between architectures. The number has 32 bits.
        let number = statfs.f_type as u32;
        let device = directory.metadata()?.dev();
        let device = format!(
            "{}:{}",
            rustix::fs::major(device),
            rustix::fs::minor(device)
        );
        let by_number = KERNEL.iter().find(|(known, _)| *known == number);
        let by_device = self.0.iter().find(|mount| mount.device == device);
        let kind = by_number
            .map(|(_, kind)| *kind)
            .or(by_device.map(|mount| mount.kind));
        let guest = &preopen.guest;
        if let Some(kind) = kind {
            bail!(
                "{path}: a {kind} file system, which the component's {guest} must not be: give an ordinary directory"
            );
        }
        let real = preopen
            .host
            .canonicalize()
            .with_context(|| path.to_string())?;
        if let Some(mount) = self.0.iter().find(|mount| mount.at.starts_with(&real)) {
            bail!(
                "{path}: a {} file system is mounted at {}, which the component's {guest} must not contain: \
                 give another directory",
                mount.kind,
                mount.at.display()
            );
        }
        Ok(())
    }
}

/// Parses lines like `22 28 0:20 / /proc rw,nosuid shared:12 - proc proc rw`.
fn parse(list: &[u8]) -> Vec<Mount> {
    list.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
    let at = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
    fields.find(|field| *field == b"-")?;
    let name = fields.next()?;
    let known = KERNEL.iter().map(|(_, kind)| *kind).chain([DEVTMPFS]);
    let kind = known.into_iter().find(|kind| kind.as_bytes() == name)?;
    Some(Mount { device, at, kind })
}

/// Decodes a path in which space, tab, newline and backslash are written as `\` and three octal digits.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *byte == b'\\');
        let number = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(number.unwrap_or(*byte));
        rest = number.map_or(after, |_| &after[3..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(host: &str) -> String {
        let preopen = Preopen {
            host: host.into(),
            guest: "/data".into(),
        };
        let error = super::super::check(&[preopen]).expect_err(host);
        let error = format!("{error:#}");
        assert!(error.contains("/data") && !error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn interfaces_of_the_kernel_are_refused() {
        assert!(refused("/proc").contains("/proc: a proc file system"));
        assert!(refused("/proc/self/fd").contains("a proc file system"));
        assert!(refused("/sys/kernel").contains("a sysfs file system"));
    }

    #[test]
    fn a_directory_that_contains_an_interface_of_the_kernel_is_refused() {
        let error = refused("/");
        assert!(error.contains("file system is mounted at /"), "{error}");
    }

    #[test]
    fn every_mounted_interface_of_the_kernel_is_refused() {
        // Another mount may cover a mount point, and a link may lead to it.
        let visible = |mount: &Mount| {
            mount.at.is_dir() && mount.at.canonicalize().is_ok_and(|at| at == mount.at)
        };
        let mut mounts = Mounts::read().0;
        mounts.retain(visible);
        assert!(
            mounts.iter().any(|mount| mount.kind == "proc"),
            "{mounts:?}"
        );
        for mount in mounts {
            refused(&mount.at.display().to_string());
        }
    }

    #[test]
    fn ordinary_directories_are_accepted() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut ordinary = vec![directory.path().to_owned()];
        ordinary.extend([PathBuf::from("/usr"), PathBuf::from("/dev/shm")]);
        for host in ordinary.into_iter().filter(|path| path.is_dir()) {
            let guest = "/data".into();
            super::super::check(&[Preopen { host, guest }]).expect("an ordinary directory");
        }
    }

    #[test]
    fn the_list_of_mounts_is_read_as_the_kernel_writes_it() {
        let list = br"22 28 0:20 / /proc rw,nosuid shared:12 master:3 - proc proc rw
23 28 0:5 / /a\040b\134c rw - devtmpfs udev rw
24 28 8:1 / / rw - ext4 /dev/sda1 rw
25 28 0:30 /pods /cut
";
        let mounts = parse(list);
        let expected = [("0:20", "/proc", "proc"), ("0:5", r"/a b\c", DEVTMPFS)];
        let expected = expected.map(|(device, at, kind)| Mount {
            device: device.into(),
            at: at.into(),
            kind,
        });
        assert_eq!(mounts, expected);
    }
}
