//! How much of the machine other programs used during a load. If that is much, the figures are of a busy machine.

use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::{CurrentSI, KernelStats};
use std::time::Duration;

/// CPU time since some moment, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// Of everything that ran on this machine, and of other machines that share its processors.
    busy: f64,
    /// Of all processors, whether they ran anything or not.
    all: f64,
    /// Of this process, and of its children that ended and were waited for: the load generators.
    own: f64,
}

impl Mark {
    /// Returns the times until now.
    pub(crate) fn now() -> Result<Self> {
        let total = KernelStats::current()
            .context("cannot read /proc/stat")?
            .total;
        let interrupts = total.irq.unwrap_or(0) + total.softirq.unwrap_or(0);
        let busy = total.user + total.nice + total.system + interrupts + total.steal.unwrap_or(0);
        let idle = total.idle + total.iowait.unwrap_or(0);
        let own = Process::myself()?.stat()?;
        let children = u64::try_from(own.cutime + own.cstime).unwrap_or(0);
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        Ok(Self {
            busy: seconds(busy),
            all: seconds(busy + idle),
            own: seconds(own.utime + own.stime + children),
        })
    }

    /// Returns the share of the machine, between 0 and 1, that was used since then by neither this program, nor its load
    /// generators, nor a server that used this CPU time.
    pub(crate) fn share_since(self, server: Duration) -> Result<f64> {
        Ok(Self::now()?.share(self, server.as_secs_f64()))
    }

    fn share(self, before: Self, server: f64) -> f64 {
        let all = self.all - before.all;
        if all <= 0.0 {
            return 0.0;
        }
        let others = (self.busy - before.busy) - (self.own - before.own) - server;
        (others / all).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neither_the_server_nor_the_load_used_is_the_share_of_others() {
        let mark = |busy, all, own| Mark { busy, all, own };
        let (before, after) = (mark(10.0, 100.0, 1.0), mark(16.0, 108.0, 2.0));
        assert_eq!(after.share(before, 3.0), 0.25);
        // Ticks are coarse.
        assert_eq!(after.share(before, 5.1), 0.0);
        assert_eq!(after.share(after, 0.0), 0.0);
        let now = Mark::now().expect("this is Linux");
        assert!(now.all >= now.busy && now.busy > 0.0, "{now:?}");
    }
}
