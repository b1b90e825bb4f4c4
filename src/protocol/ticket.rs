//! The count as a name: `ticket.483`.

use super::directory::Entry;
use super::error::{CountError, CountResult};
use super::platform::ROOT;
use anyhow::anyhow;

/// The private directory, whose one entry is the ticket. It is private because a listing of a crowded directory can miss
/// an entry that is being renamed, and because a rename in a directory of one entry needs no space.
pub(super) const PRIVATE: &str = ".visits";

/// The number of visits counted so far, as the name of the private directory's one entry.
///
/// A claim adds an id of its own, such as `ticket.483-00c5f1ab9d3e7724`. So no two claims make the same name, and an instance
/// recognises its own claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket {
    pub(super) number: u64,
    claim: Option<u64>,
}

const PREFIX: &str = "ticket.";

/// What the name of a file begins with that is to replace `visits.bin`: see [`super::fence`].
const NEXT: &str = "next.";

/// What the name of a file begins with that confirms a sync: see [`super::confirm`].
const CONFIRMATION: &str = "confirmation.";

impl Ticket {
    /// Returns the ticket of a first start.
    pub(super) fn first(number: u64) -> Self {
        Ticket {
            number,
            claim: None,
        }
    }

    /// Returns the entry's name.
    pub(super) fn name(self) -> String {
        self.name_after(PREFIX)
    }

    /// Returns the name of the file that is to replace `visits.bin` for this ticket.
    pub(super) fn next_name(self) -> String {
        self.name_after(NEXT)
    }

    /// Returns the name of the file that confirms this ticket's sync.
    pub(super) fn confirmation_name(self) -> String {
        self.name_after(CONFIRMATION)
    }

    fn name_after(self, prefix: &str) -> String {
        let number = self.number;
        match self.claim {
            Some(id) => format!("{prefix}{number}-{id:016x}"),
            None => format!("{prefix}{number}"),
        }
    }

    /// Returns the ticket of that name after `prefix`; `None` unless [`Ticket::name_after`] makes that very name. Otherwise
    /// two entries could stand for one count, such as `ticket.7` and `ticket.007`.
    fn parse(name: &str, prefix: &str) -> Option<Ticket> {
        let rest = name.strip_prefix(prefix)?;
        let (number, claim) = match rest.split_once('-') {
            Some((number, id)) => (number, Some(u64::from_str_radix(id, 16).ok()?)),
            None => (rest, None),
        };
        let number = number.parse().ok()?;
        let ticket = Ticket { number, claim };
        (ticket.name_after(prefix) == name).then_some(ticket)
    }

    /// Returns whether `name` is that of a file for a ticket with a lower number: to replace `visits.bin`, or to confirm a
    /// sync.
    pub(super) fn is_past(self, name: &str) -> bool {
        let mut prefixes = [NEXT, CONFIRMATION].into_iter();
        let ticket = prefixes.find_map(|prefix| Ticket::parse(name, prefix));
        ticket.is_some_and(|it| it.number < self.number)
    }

    /// Returns the ticket that an entry is; `None` for a directory, whatever its name.
    pub(super) fn of(entry: &Entry) -> Option<Ticket> {
        (!entry.is_dir)
            .then(|| Ticket::parse(&entry.name, PREFIX))
            .flatten()
    }

    /// Returns the ticket of a claim of `visits` more visits, with the id of that claim.
    ///
    /// # Errors
    /// Returns an error if that number does not fit in 64 bits.
    pub(super) fn after(self, visits: u64, id: u64) -> CountResult<Ticket> {
        let number = self.number.checked_add(visits).ok_or_else(|| {
            CountError::not_a_count(anyhow!(
                "{ROOT}/{PRIVATE} is at {}: {visits} more do not fit in 64 bits",
                self.number
            ))
        })?;
        Ok(Ticket {
            number,
            claim: Some(id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, Ticket};

    #[test]
    fn a_ticket_is_read_back_from_its_name() {
        for number in [0, 1, 483, u64::MAX] {
            let first = Ticket::first(number);
            assert_eq!(Ticket::parse(&first.name(), PREFIX), Some(first));
            let claimed = first.after(0, 7).unwrap();
            assert_eq!(Ticket::parse(&claimed.name(), PREFIX), Some(claimed));
        }
    }

    #[test]
    fn what_was_to_be_published_for_a_lower_number_is_past() {
        let ticket = Ticket::first(9).after(0, 7).unwrap();
        assert!(ticket.is_past("next.8-0000000000000001"));
        for name in [
            "next.9-0000000000000001",
            "next.10-0000000000000001",
            "ticket.8-0000000000000001",
            "next.8.bak",
        ] {
            assert!(!ticket.is_past(name), "{name}");
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
            "ticket.5-",
            "ticket.5-7",
            "ticket.5-000000000000000A",
            "ticket.5-+00000000000000a",
            "ticket.5-0000000000000000a",
            "ticket.-0000000000000000",
            "Ticket.5",
            "5",
            "",
        ] {
            assert_eq!(Ticket::parse(name, PREFIX), None, "{name:?}");
        }
    }
}
