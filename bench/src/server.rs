//! What the rounds need of a server, whether it is a process of this machine or a pod of a cluster.

use anyhow::{Result, ensure};
use procfs::process::Process as Entry;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

/// A server that runs. It ends on drop.
pub(crate) trait Server {
    /// Returns an error with the server's last output if the server has ended.
    fn check(&mut self) -> Result<()>;

    /// Returns the processes that serve.
    fn processes(&self) -> Result<Vec<Entry>>;

    /// Fails unless the server responds with success to `GET /` at its address.
    fn request(&self, address: SocketAddr) -> Result<()> {
        let response = ureq::get(format!("http://{address}/")).call()?;
        ensure!(response.status() == 200, "status {}", response.status());
        Ok(())
    }

    /// Returns the command that starts a client in the server's network.
    fn client(&self, program: &str) -> Command {
        Command::new(program)
    }

    /// Ends the server. Its count is then in the volume of its directory.
    fn stop(self: Box<Self>) -> Result<()>;

    /// Returns the CPU time, user and system, that the processes and their ended children have used.
    fn cpu(&self) -> Result<Duration> {
        let mut ticks = 0;
        for entry in self.processes()? {
            let stat = entry.stat()?;
            let ended_children = stat.cutime + stat.cstime;
            ticks += stat.utime + stat.stime + u64::try_from(ended_children).unwrap_or(0);
        }
        let per_second = procfs::ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Returns the memory that the processes have now.
    fn memory(&self) -> Result<Memory> {
        let mut memory = Memory::default();
        for entry in self.processes()? {
            let status = entry.status()?;
            let mebibytes = |kibibytes: Option<u64>| kibibytes.unwrap_or(0) as f64 / 1024.0;
            memory.resident += mebibytes(status.vmrss);
            memory.anonymous += mebibytes(status.rssanon);
        }
        Ok(memory)
    }
}

/// The memory of a server's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// All resident pages, in MiB.
    pub(crate) resident: f64,
    /// The resident pages that belong to no file, in MiB.
    pub(crate) anonymous: f64,
}
