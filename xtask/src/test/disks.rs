//! `cargo xtask disks`: the suite of power cuts and failing disks at full length. `make test` runs a short one.

use super::steps::{self, disks};
use super::{Plan, start};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use visits_support::environment::{self, Environment};

/// Options of `disks`.
#[derive(Args)]
pub(crate) struct Options {
    /// How many power cuts on each kind of volume, how many volumes of ext4 that find themselves damaged, and how many failed
    /// syncs of another program
    #[arg(long, default_value_t = 100)]
    cuts: u64,
    /// Only this kind of volume or of fault
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The seed of the moments of the cuts; without it each kind prints one of its own
    #[arg(long)]
    seed: Option<u64>,
    /// How many seconds a disk hangs
    #[arg(long, default_value_t = 60)]
    hang: u64,
    /// Write the history of each kind's visits into this directory, as lines of JSON
    #[arg(long, value_name = "DIRECTORY")]
    histories: Option<PathBuf>,
}

/// The kinds of volumes.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// ext4 with a journal
    Ext4,
    /// 1 MiB of ext4, which has no journal
    #[value(name = "1mib")]
    OneMib,
    /// xfs
    Xfs,
    /// btrfs
    Btrfs,
    /// 1 MiB of ext4 with two hosts on it
    TwoHosts,
    /// 1 MiB of ext4 on a disk that stores one sector after the other, so that a cut may tear a block
    Sectors,
    /// ext4, with a journal and without, that finds itself damaged and makes itself read-only
    Damaged,
    /// 1 MiB of ext4 whose directory another program syncs at the same time, with and without success
    SideBySide,
}

impl Kind {
    /// Returns a part of its test's name that no other test has.
    fn test(self) -> &'static str {
        match self {
            Kind::Ext4 => "power_cuts_on_ext4",
            Kind::OneMib => "power_cuts_on_1_mib",
            Kind::Xfs => "power_cuts_on_xfs",
            Kind::Btrfs => "power_cuts_on_btrfs",
            Kind::TwoHosts => "power_cuts_beside_a_second_host",
            Kind::Sectors => "power_cuts_between_sectors",
            Kind::Damaged => "a_volume_that_becomes_read_only",
            Kind::SideBySide => "side_by_side::",
        }
    }
}

/// Builds what the suite needs, and runs it, or the power cuts on one kind of volume.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut plan = Plan::default();
    let built = steps::builds(&mut plan, false);
    steps::judge(&mut plan);
    disks::long(&mut plan, &built, options.kind.map(Kind::test));
    let mut environment = Environment::default();
    environment.set(environment::DISK_CUTS, options.cuts.to_string());
    environment.set(environment::DISK_HANG, options.hang.to_string());
    if let Some(seed) = options.seed {
        environment.set(environment::DISK_SEED, seed.to_string());
    }
    if let Some(directory) = &options.histories {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        environment.set(environment::DISK_HISTORIES, std::path::absolute(directory)?);
    }
    start(plan, &environment)
}
