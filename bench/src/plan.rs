//! Which rows a run has: every server with 32 connections, and some with other numbers.

/// The number of connections with which every server is measured.
pub(crate) const USUAL: usize = 32;

/// The numbers of connections that are measured unless the options name others, in the order of a round. Rows that are
/// compared are close to each other.
pub(crate) const CONNECTIONS: [usize; 4] = [1, 1000, USUAL, 128];

/// The name of the row that measures the disk instead of a server.
pub(crate) const DISK: &str = "disk";

/// The servers that are measured with one connection, where the disk is all that a visitor waits for.
const ALONE: [&str; 3] = ["visits", "other", DISK];

/// The servers that are measured with 1,000 connections.
const CROWDED: [&str; 2] = ["visits", "other"];

/// The servers that are measured with other numbers of connections.
const BUSY: [&str; 5] = [
    "wasmtime-hello",
    "hello",
    "visits",
    "other",
    "native-visits",
];

/// A row that is measured: the name of a server, and the number of connections.
pub(crate) type Planned = (&'static str, usize);

/// The choice of rows by the options.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Names of servers, of rows such as `visits.32`, or of other parts of a run. Empty for all.
    pub(crate) only: Vec<String>,
    pub(crate) connections: Vec<usize>,
}

impl Choice {
    /// Returns whether a part of a run that has this name is chosen.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Returns the rows of these servers, in the order of a round.
    pub(crate) fn rows(&self, servers: &[&'static str]) -> Vec<Planned> {
        let mut rows = Vec::new();
        for connections in self.connections.iter().copied() {
            let measured = servers.iter().filter(|id| is_measured(id, connections));
            let chosen =
                measured.filter(|id| self.has(id) || self.has(&format!("{id}.{connections}")));
            rows.extend(chosen.map(|id| (*id, connections)));
        }
        rows
    }
}

/// Returns whether a server is measured with this number of connections.
fn is_measured(id: &str, connections: usize) -> bool {
    match connections {
        USUAL => id != DISK,
        1 => ALONE.contains(&id),
        1000 => CROWDED.contains(&id),
        _ => BUSY.contains(&id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: [&str; 4] = ["wasmtime-hello", "visits", "redis", DISK];

    fn rows(only: &[&str], connections: &[usize]) -> Vec<Planned> {
        let choice = Choice {
            only: only.iter().map(|&name| name.to_owned()).collect(),
            connections: connections.to_vec(),
        };
        choice.rows(&SERVERS)
    }

    #[test]
    fn every_server_is_measured_with_the_usual_connections_and_some_with_others() {
        let all = rows(&[], &CONNECTIONS);
        assert_eq!(
            all,
            [
                ("visits", 1),
                (DISK, 1),
                ("visits", 1000),
                ("wasmtime-hello", 32),
                ("visits", 32),
                ("redis", 32),
                ("wasmtime-hello", 128),
                ("visits", 128),
            ]
        );
    }

    #[test]
    fn options_choose_servers_rows_and_connections() {
        assert_eq!(rows(&["redis"], &CONNECTIONS), [("redis", 32)]);
        assert_eq!(rows(&["visits.128"], &CONNECTIONS), [("visits", 128)]);
        assert_eq!(rows(&["visits"], &[64]), [("visits", 64)]);
        assert_eq!(rows(&["start"], &CONNECTIONS), []);
    }
}
