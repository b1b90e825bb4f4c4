//! Warns about file systems on which a component cannot rely on a rename or a sync as on a local disk.
//!
//! A component has no `statfs`, so only the host can find out. A warning is enough, because such a file system works most of
//! the time. What the counter promises on it is in docs/limits.md.

use super::Preopen;

// What each kind means for a volume.
const MEMORY: &str =
    "its files are gone after a restart of the machine or the pod, even if they were synced";
const REMOTE: &str = "another machine decides when a write is durable, and a rename may be done and reported as failed";
const PROGRAM: &str =
    "the program behind it decides whether a rename is atomic and a sync is durable";
const NO_JOURNAL: &str = "it has no journal, so a power cut can undo a rename or lose both names";

/// The type numbers of these file systems, their names, and what that means. The numbers are from the kernel's
/// include/uapi/linux/magic.h.
const DOUBTFUL: [(u32, &str, &str); 15] = [
    (0x0000_6969, "nfs", REMOTE),
    (0x0000_517b, "smb", REMOTE),
    (0xff53_4d42, "cifs", REMOTE),
    (0xfe53_4d42, "smb2", REMOTE),
    (0x00c3_6400, "ceph", REMOTE),
    (0x6b41_4653, "afs", REMOTE),
    (0x5346_414f, "openafs", REMOTE),
    (0x7375_7245, "coda", REMOTE),
    (0x0000_564c, "ncpfs", REMOTE),
    (0x0102_1997, "9p", PROGRAM),
    (0x6573_5546, "fuse", PROGRAM),
    (0x0102_1994, "tmpfs", MEMORY),
    (0x8584_58f6, "ramfs", MEMORY),
    (0x0000_4d44, "vfat", NO_JOURNAL),
    (0x2011_bab0, "exfat", NO_JOURNAL),
];

/// Logs one line for each directory on such a file system.
pub(super) fn warn(preopens: &[Preopen]) {
    for preopen in preopens {
        // Each instance opens the directory again, and reports the error.
        let Ok(directory) = super::open(preopen) else {
            continue;
        };
        let Ok(statfs) = rustix::fs::fstatfs(directory) else {
            continue;
        };
        // The field's type differs between architectures. The number has 32 bits.
        if let Some((name, meaning)) = doubt(statfs.f_type as u32) {
            tracing::warn!(
                "the volume {} is on {name}: {meaning}",
                preopen.host.display()
            );
        }
    }
}

/// Returns the name of a file system by its type number, and what it means for a volume; `None` if nothing is known against
/// it.
fn doubt(number: u32) -> Option<(&'static str, &'static str)> {
    let found = DOUBTFUL.iter().find(|(known, ..)| *known == number);
    found.map(|(_, name, meaning)| (*name, *meaning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_and_programs_are_named() {
        for (number, name) in [
            (libc::NFS_SUPER_MAGIC, "nfs"),
            (libc::SMB_SUPER_MAGIC, "smb"),
            (libc::FUSE_SUPER_MAGIC, "fuse"),
            (libc::CODA_SUPER_MAGIC, "coda"),
            (libc::NCP_SUPER_MAGIC, "ncpfs"),
            (libc::AFS_SUPER_MAGIC, "openafs"),
            (libc::TMPFS_MAGIC, "tmpfs"),
            (libc::MSDOS_SUPER_MAGIC, "vfat"),
        ] {
            let found = doubt(number as u32).map(|(name, _)| name);
            assert_eq!(found, Some(name), "{number:x}");
        }
    }

    #[test]
    fn local_file_systems_with_atomic_renames_are_not_named() {
        const ZFS: u32 = 0x2fc1_2fc1;
        for number in [
            libc::EXT4_SUPER_MAGIC as u32,
            libc::XFS_SUPER_MAGIC as u32,
            libc::BTRFS_SUPER_MAGIC as u32,
            libc::OVERLAYFS_SUPER_MAGIC as u32,
            ZFS,
        ] {
            assert_eq!(doubt(number), None, "{number:x}");
        }
    }

    #[test]
    fn each_number_has_one_name_and_a_meaning_of_one_line() {
        for (index, (number, name, meaning)) in DOUBTFUL.iter().enumerate() {
            let others = &DOUBTFUL[index + 1..];
            assert!(!others.iter().any(|it| it.0 == *number || it.1 == *name));
            assert!(!meaning.is_empty() && !meaning.contains('\n'), "{name}");
        }
    }
}
