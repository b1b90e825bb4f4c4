//! Counting exactly, on nothing but a directory.
//!
//! WASI gives one directory and no file locks, and many requests run at once: tasks of one instance, several
//! instances, even several processes during a rollout. These rules make every visit count once, durably:
//!
//! 1. **The count is a name.** The private directory `.visits` holds one ticket, such as `ticket.483`. Names only ever
//!    grow (`ticket`).
//! 2. **The claim is a rename** of `ticket.N` to `ticket.N+k`: a compare-and-swap that one caller wins. The others get
//!    "not found" and look again (`claim`). Each claim adds an id of its own to the name, so an instance recognises its claim
//!    even if the rename was done and reported as "not found".
//! 3. **Then durable**: the private directory is synced. After a failed sync the instance acknowledges nothing more,
//!    because the system reports such an error once, and a later success does not cover this claim (`volume`). A sync that
//!    succeeds is trusted once a later change of that directory has succeeded (`confirm`).
//! 4. **Then published, confirmed, and answered**: `visits.bin` is written before any visitor gets a number. A crash in between
//!    leaves a visit counted and not acknowledged, never the reverse (`publish`).
//! 5. **Only the ticket is true** once the private directory exists, and `visits.bin` is output. The file is input only
//!    for the first start (`start`), which is the rename of one prepared directory.
//! 6. **A listing may omit entries**: an entry that is renamed during a listing ends it early or shows twice. The listing
//!    is repeated, and "no ticket" never means zero (`volume`).
//! 7. **A claim requires an open `visits.bin`**: what could not be published is not counted (`claim`, `publish`).
//! 8. **A file that something else has written is kept**: a first start copies it (`takeover`).
//! 9. **A late write goes to a file without a name**: if the claims pass from one instance to another, `visits.bin` is
//!    replaced (`fence`).
//!
//! # Layout
//! From a request down to the disk. Each file uses those below it:
//! - [`Counter`]: the handle through which requests count and read the count.
//! - `leader`: group commit, which makes it fast: one rename and one sync for everyone who waits in an instance.
//! - `inner`: what the handles share with the leader.
//! - `queue`: the visitors who wait; `stall`: how long they do.
//! - `claim`, `confirm`, `turn` and `probe`: taking the next numbers, making sure of it, letting others take them, and
//!   checking that one could.
//! - `publish` with `publication` and `fence`, `start`, `takeover`: `visits.bin` as output, the first start, `visits.bin` as
//!   input.
//! - `volume`: the ticket on the disk; `ticket` and [`record`]: the two forms of the count.
//! - `retry`: trying again after a lost race; `rule`: which of these rules a test leaves out.
//! - [`directory`], [`platform`], [`observer`]: the traits that the protocol stands on.
//!
//! The component implements these traits on WASI, the tests on a simulated volume that can lose power between any two
//! calls (`simulated`).

mod claim;
mod confirm;
mod counter;
pub mod directory;
mod error;
mod fence;
mod inner;
mod leader;
pub mod observer;
pub mod platform;
mod probe;
mod publication;
mod publish;
mod queue;
pub mod record;
mod retry;
mod rule;
#[cfg(test)]
pub(crate) mod simulated;
mod stall;
mod start;
mod takeover;
mod ticket;
mod turn;
mod volume;

#[cfg(test)]
mod tests;

pub use counter::Counter;
pub use error::{CountError, CountResult, Refusal, SharedError};
