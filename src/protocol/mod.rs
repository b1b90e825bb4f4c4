//! Counting exactly, on nothing but a directory.
//!
//! WASI gives one directory and no file locks, and many requests run at once: tasks of one instance, several
//! instances, even several processes during a rollout. The rules that make every visit count once, durably:
//!
//! 1. **The count is a name.** The private directory [`volume::PRIVATE`] holds one entry, `ticket.483`
//!    ([`ticket::Ticket`]). Names only ever grow.
//! 2. **The claim is a rename** of `ticket.N` to `ticket.N+k`: a compare-and-swap, which one caller wins; the
//!    others get "not found" and look again ([`volume`]).
//! 3. **Then durable**: the private directory is synced. After a failed sync the instance acknowledges nothing
//!    more, for the system reports such an error once and a later success says nothing about this claim.
//! 4. **Then published, then answered**: `visits.bin` is written before any visitor hears a number, so that
//!    a crash in between leaves a visit counted but not acknowledged, never the reverse ([`publish`]).
//! 5. **The ticket alone is true** once the private directory is there, and `visits.bin` is output. It is input
//!    only for the first start ([`start`]), which is the rename of one prepared directory.
//! 6. **A listing may lie by omission**: an entry renamed under it ends it early or shows twice. It is taken
//!    again, and "none" is never zero ([`volume`]).
//! 7. **A claim presupposes an open `visits.bin`**: what could not be published is not counted ([`publish`]).
//! 8. **Nothing is overwritten that this counter did not write**: a first start keeps a copy ([`takeover`]).
//!
//! [`group`] and its leader make it fast: one rename and one sync for everyone who waits in an instance.
//!
//! The code is written once, over the small traits of [`directory`] and [`platform`]: the component runs it on
//! WASI, the tests on a simulated volume that can lose power between any two calls.

pub mod directory;
pub mod error;
pub mod group;
pub mod leader;
pub mod platform;
pub mod probe;
pub mod publish;
pub mod record;
#[cfg(test)]
pub(crate) mod simulated;
pub mod start;
pub mod takeover;
pub mod ticket;
pub mod volume;

#[cfg(test)]
mod tests;

pub use error::{CountError, Refusal};
pub use group::Counter;
