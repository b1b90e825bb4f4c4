//! The count as a name: `ticket.483`.

use super::directory::Entry;
use super::error::{CountError, CountResult};
use super::platform::ROOT;
use anyhow::anyhow;

/// The private directory, whose one entry is the ticket. It is private because a listing of a crowded directory can miss
/// an entry that is being renamed, and because a rename in a directory of one entry needs no space.
pub(super) const PRIVATE: &str = ".visits";

/// The number of visits counted so far, as the name of the private directory's one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub(super) u64);

const PREFIX: &str = "ticket.";

impl Ticket {
    /// Returns the entry's name.
    pub(super) fn name(self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// Returns the ticket of that name; `None` unless [`Ticket::name`] makes that very name. Otherwise two entries could
    /// stand for one count, such as `ticket.7` and `ticket.007`.
    fn parse(name: &str) -> Option<Ticket> {
        let ticket = Ticket(name.strip_prefix(PREFIX)?.parse().ok()?);
        (ticket.name() == name).then_some(ticket)
    }

    /// Returns the ticket that an entry is; `None` for a directory, whatever its name.
    pub(super) fn of(entry: &Entry) -> Option<Ticket> {
        (!entry.is_dir)
            .then(|| Ticket::parse(&entry.name))
            .flatten()
    }

    /// Returns the ticket after `visits` more visits.
    ///
    /// # Errors
    /// Returns an error if that number does not fit in 64 bits.
    pub(super) fn after(self, visits: u64) -> CountResult<Ticket> {
        let number = self.0.checked_add(visits).ok_or_else(|| {
            CountError::not_a_count(anyhow!(
                "{ROOT}/{PRIVATE} is at {}: {visits} more do not fit in 64 bits",
                self.0
            ))
        })?;
        Ok(Ticket(number))
    }
}

#[cfg(test)]
mod tests {
    use super::Ticket;

    #[test]
    fn a_ticket_is_read_back_from_its_name() {
        for number in [0, 1, 483, u64::MAX] {
            assert_eq!(Ticket::parse(&Ticket(number).name()), Some(Ticket(number)));
        }
    }

    #[test]
    fn only_canonical_decimals_are_tickets() {
        for name in [
            "ticket.",
            "ticket.+5",
            "ticket.-5",
            "ticket.007",
            "ticket.00",
            "ticket.5 ",
            "ticket. 5",
            "ticket.0x5",
            "ticket.18446744073709551616",
            "ticket.5.bak",
            "Ticket.5",
            "5",
            "",
        ] {
            assert_eq!(Ticket::parse(name), None, "{name:?}");
        }
    }
}
