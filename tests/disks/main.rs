//! The counter on real file systems, on a disk that loses power, fails or hangs.
//!
//! The disk is made of programs that others wrote: nbdkit holds every write back until a flush, nbdfuse shows what nbdkit
//! serves as a file, and the kernel makes a block device of that file. If nbdkit is killed, everything is lost that was not
//! flushed, as on a disk whose power is cut. All tests need root.
//!
//! - `disk`: the block device, and what can happen to it
//! - `file_system`: ext4 with and without a journal, xfs and btrfs: making, checking and repairing them
//! - `volume`: such a file system as the counter's volume
//! - `options`: what `cargo xtask disks` sets
//! - `power`: cutting the power under load, and what must hold afterwards
//! - `cuts`: power cuts on every file system
//! - `controls`: runs that must fail
//! - `refusals`: the answers of a counter whose disk fails
//! - `failing`: disks that fail to write or to flush, and file systems that become read-only
//! - `hanging`, `filling`, `vanishing`: disks that do so under load
//! - `side_by_side`: a disk that two hosts sync at the same time

mod controls;
mod cuts;
mod disk;
mod failing;
mod file_system;
mod filling;
mod hanging;
mod options;
mod power;
mod refusals;
mod side_by_side;
mod vanishing;
mod volume;
