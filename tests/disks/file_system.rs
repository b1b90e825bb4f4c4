//! The kinds of file systems: making, checking and repairing them.

use anyhow::{Result, bail, ensure};
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use visits_tests::command::{Bounded, run};

/// A kind of file system. Each is as small as its `mkfs` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    /// ext4 with a journal, which `mkfs.ext4` makes from 2 MiB on.
    Ext4,
    /// 1 MiB of ext4, as a claim of 1Mi may give. It has no journal.
    Ext4WithoutJournal,
    /// xfs.
    Xfs,
    /// btrfs.
    Btrfs,
}

/// What a check found after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// Nothing, or a journal to replay.
    Clean,
    /// Faults that the check repairs unattended, as at boot and by the kubelet.
    Repaired,
    /// Faults that need a person's consent.
    RepairedOnRequest,
    /// The same, and a directory in the place of `visits.bin`.
    VisitsBinRemoved,
}

impl FileSystem {
    /// All kinds.
    pub(crate) const ALL: [FileSystem; 4] = [
        FileSystem::Ext4,
        FileSystem::Ext4WithoutJournal,
        FileSystem::Xfs,
        FileSystem::Btrfs,
    ];

    /// Returns the name under which the kernel mounts it.
    pub(crate) fn kernel_name(self) -> &'static str {
        match self {
            FileSystem::Ext4 | FileSystem::Ext4WithoutJournal => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    /// Returns the size of the image, in bytes.
    fn size(self) -> u64 {
        const MIB: u64 = 1 << 20;
        match self {
            FileSystem::Ext4WithoutJournal => MIB,
            FileSystem::Ext4 => 2 * MIB,
            FileSystem::Btrfs => 109 * MIB,
            FileSystem::Xfs => 300 * MIB,
        }
    }

    /// Makes an image with an empty file system.
    ///
    /// # Errors
    /// Fails if `mkfs` fails.
    pub(crate) fn make(self, image: &Path) -> Result<()> {
        File::create(image)?.set_len(self.size())?;
        let mut mkfs = match self {
            FileSystem::Ext4 | FileSystem::Ext4WithoutJournal => command("mkfs.ext4", &["-q"]),
            FileSystem::Xfs => command("mkfs.xfs", &["-q"]),
            FileSystem::Btrfs => without_mounts("mkfs.btrfs", &["-q"]),
        };
        mkfs.arg(image);
        run(mkfs).map(drop)
    }

    /// Returns whether the kernel brings it in order by mounting it.
    pub(crate) fn is_replayed_by_mount(self) -> bool {
        matches!(self, FileSystem::Xfs | FileSystem::Btrfs)
    }

    /// Brings ext4 in order: replays the journal if there is one, and repairs.
    ///
    /// # Errors
    /// Fails if faults remain.
    pub(crate) fn repair(self, device: &Path) -> Result<Found> {
        match self {
            FileSystem::Xfs | FileSystem::Btrfs => Ok(Found::Clean),
            FileSystem::Ext4 | FileSystem::Ext4WithoutJournal => repair_ext4(device),
        }
    }

    /// Checks that nothing is left to repair.
    ///
    /// # Errors
    /// Fails with what the check reports.
    pub(crate) fn check(self, device: &Path) -> Result<()> {
        let mut check = match self {
            FileSystem::Ext4 | FileSystem::Ext4WithoutJournal => command("e2fsck", &["-f", "-n"]),
            FileSystem::Xfs => command("xfs_repair", &["-n"]),
            FileSystem::Btrfs => without_mounts("btrfs", &["check", "--readonly"]),
        };
        check.arg(device);
        let output = Bounded::new(check).output()?;
        ensure!(
            output.status.success(),
            "{self} is not clean: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileSystem::Ext4 => "ext4 with a journal",
            FileSystem::Ext4WithoutJournal => "ext4 of 1 MiB without a journal",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        })
    }
}

/// Repairs as the kubelet does before it mounts, which runs `fsck -a`, and then as a person would.
fn repair_ext4(device: &Path) -> Result<Found> {
    for (option, found) in [("-p", Found::Repaired), ("-y", Found::RepairedOnRequest)] {
        let mut repair = command("e2fsck", &["-f", option]);
        repair.arg(device);
        let output = Bounded::new(repair).output()?;
        match output.status.code() {
            Some(0) => return Ok(Found::Clean),
            Some(1) => return Ok(found),
            // Faults were left.
            Some(4) if option == "-p" => {}
            _ => bail!(
                "e2fsck {option}: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
    bail!("e2fsck left faults")
}

/// Returns a command that sees no mounts. The programs of btrfs look at the disk of every mount, which fails while that of
/// another test is dead.
fn without_mounts(program: &str, arguments: &[&str]) -> Command {
    const HIDE: &str = r#"mount --bind /dev/null /proc/$$/mounts && exec "$0" "$@""#;
    let mut unshare = command("unshare", &["--mount", "sh", "-c", HIDE, program]);
    unshare.args(arguments);
    unshare
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
