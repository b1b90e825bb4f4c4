//! The count as a name: `ticket.483`.

use super::directory::Entry;

/// The number of visits counted so far, as the name of the private directory's one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

const PREFIX: &str = "ticket.";

impl Ticket {
    /// The entry's name.
    pub fn name(self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// The ticket of that name; `None` for any name that [`Ticket::name`] does not make. Were `ticket.+5` or
    /// `ticket.007` taken for tickets, two entries could stand for one count.
    pub fn parse(name: &str) -> Option<Ticket> {
        let ticket = Ticket(name.strip_prefix(PREFIX)?.parse().ok()?);
        (ticket.name() == name).then_some(ticket)
    }

    /// The ticket that an entry is. A directory is none, whatever its name.
    pub fn of(entry: &Entry) -> Option<Ticket> {
        (!entry.is_dir)
            .then(|| Ticket::parse(&entry.name))
            .flatten()
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
