//! A running server with a volume of its own.

use crate::load::{redis, wrk};
use crate::others::Mark;
use crate::peer::{Count, Peer, Protocol};
use crate::sample::{Load, Sample};
use crate::server::{Memory, Server};
use crate::volume;
use anyhow::{Context, Result, anyhow};
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use visits_support::{command, wait};

/// How long a server may take to answer its first request. A component may have to be compiled, under valgrind too.
const START: Duration = Duration::from_secs(180);

/// One process or pod of a server, and the address that it listens on.
struct Member {
    server: Box<dyn Server>,
    address: SocketAddr,
}

/// A server that runs, as one or several processes or as a pod.
pub(crate) struct Running<'a> {
    peer: &'a Peer,
    // Before the directory, so that the processes end first.
    members: Vec<Member>,
    directory: TempDir,
    answered: u64,
    errors: u64,
}

/// What a server answered and counted while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Visits that were answered.
    pub(crate) answered: u64,
    /// Visits that it counted, if it counts.
    pub(crate) counted: Option<u64>,
    /// Responses that were no success, and connections that failed.
    pub(crate) errors: u64,
}

impl Account {
    /// Returns the visits that were answered and not counted.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.counted
            .map(|counted| self.answered.saturating_sub(counted))
    }

    /// Returns the visits that were counted and not answered, if it counts.
    pub(crate) fn unanswered(&self) -> Option<u64> {
        self.counted
            .map(|counted| counted.saturating_sub(self.answered))
    }
}

impl<'a> Running<'a> {
    /// Starts a server and waits until each of its processes has answered a request.
    pub(crate) fn start(peer: &'a Peer) -> Result<Self> {
        let directory = TempDir::new().context("cannot create a directory for a server")?;
        std::fs::create_dir(volume::of(directory.path()))?;
        let mut running = Self {
            peer,
            members: Vec::new(),
            directory,
            answered: 0,
            errors: 0,
        };
        for number in 0..peer.processes {
            let member = running.member(number)?;
            running.members.push(member);
        }
        Ok(running)
    }

    fn member(&mut self, number: usize) -> Result<Member> {
        let (mut server, address) = self.peer.start(self.directory.path(), number)?;
        wait_for_answer(self.peer, &mut *server, address)?;
        self.answered += u64::from(self.peer.protocol == Protocol::Http);
        Ok(Member { server, address })
    }

    /// Returns the address of the first process.
    pub(crate) fn address(&self) -> SocketAddr {
        self.members[0].address
    }

    /// Loads all processes together with this number of connections for this time.
    pub(crate) fn load(&mut self, connections: usize, length: Duration) -> Result<Sample> {
        let (protocol, each) = (self.peer.protocol, connections.div_ceil(self.members.len()));
        let clients: Vec<_> = self
            .members
            .iter()
            .map(|member| (member.server.client("wrk"), member.address))
            .collect();
        self.sample(|| {
            let one = |(wrk, address)| match protocol {
                Protocol::Http => wrk::load(wrk, address, each, length),
                Protocol::Redis => redis::load(address, each, length),
            };
            let loads: Result<Vec<Load>> = thread::scope(|scope| {
                let threads = clients
                    .into_iter()
                    .map(|client| scope.spawn(move || one(client)));
                let threads: Vec<_> = threads.collect();
                let ended = threads.into_iter().map(|thread| thread.join());
                ended
                    .map(|load| load.map_err(|_| anyhow!("a load panicked"))?)
                    .collect()
            });
            Ok(Load::together(&loads?))
        })
    }

    /// Measures any load.
    pub(crate) fn sample(&mut self, load: impl FnOnce() -> Result<Load>) -> Result<Sample> {
        let (before, mark) = (self.cpu()?, Mark::now()?);
        let load = load().with_context(|| format!("a load of {}", self.peer.id))?;
        let cpu = self.cpu()?.saturating_sub(before);
        let others = mark.share_since(cpu)?;
        self.answered += load.answered;
        self.errors += load.errors;
        for member in &mut self.members {
            member.server.check()?;
        }
        Ok(Sample::new(&load, cpu, self.memory()?, others))
    }

    /// Returns the CPU time that the server has used.
    fn cpu(&self) -> Result<Duration> {
        self.members.iter().map(|member| member.server.cpu()).sum()
    }

    fn memory(&self) -> Result<Memory> {
        let mut all = Memory::default();
        for member in &self.members {
            let memory = member.server.memory()?;
            all.resident += memory.resident;
            all.anonymous += memory.anonymous;
        }
        Ok(all)
    }

    /// Ends the server and compares what it answered with what it counted.
    pub(crate) fn finish(self) -> Result<Account> {
        let redis = match self.peer.count {
            Count::Redis => Some(redis_count(self.address())?),
            _ => None,
        };
        for member in self.members {
            member.server.stop()?;
        }
        let counted = match self.peer.count {
            Count::File => Some(volume::count(self.directory.path())?),
            _ => redis,
        };
        Ok(Account {
            answered: self.answered,
            counted,
            errors: self.errors,
        })
    }
}

/// Waits until a server has answered one request.
pub(crate) fn wait_for_answer(
    peer: &Peer,
    server: &mut dyn Server,
    address: SocketAddr,
) -> Result<()> {
    let what = format!("an answer of {}", peer.id);
    wait::until(&what, START, || {
        server.check()?;
        let answered = match peer.protocol {
            Protocol::Http => server.request(address),
            Protocol::Redis => redis_count(address).map(drop),
        };
        Ok(answered.ok())
    })
}

fn redis_count(address: SocketAddr) -> Result<u64> {
    let mut get = Command::new("redis-cli");
    get.args([
        "-h",
        &address.ip().to_string(),
        "-p",
        &address.port().to_string(),
    ]);
    get.args(["GET", redis::KEY]);
    let count = command::run(get)?;
    match count.trim() {
        "" => Ok(0),
        count => count
            .parse()
            .with_context(|| format!("Redis counted {count:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answered_visits_that_were_not_counted_are_lost() {
        let account = |answered, counted| Account {
            answered,
            counted,
            errors: 0,
        };
        assert_eq!(account(10, Some(7)).lost(), Some(3));
        // Clients that went away before the response.
        assert_eq!(account(10, Some(12)).lost(), Some(0));
        assert_eq!(account(10, Some(12)).unanswered(), Some(2));
        assert_eq!(account(10, None).lost(), None);
    }
}
