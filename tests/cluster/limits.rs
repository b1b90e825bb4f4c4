//! The limits that the node's kernel enforces on a container.

use crate::cluster::Cluster;
use anyhow::{Context, Result};

/// Prints the memory limit, the CPU share, and the quota and period of CPU time, of a process's cgroup.
const READ: &str = r#"of() { sed -n "s/^[0-9]*:\([^:]*,\)\?$1\(,[^:]*\)\?://p" /proc/$process/cgroup; }
memory=$(of memory)
cpu=$(of cpu)
unified=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$process/cgroup)
if [ "$memory" ]; then cat /sys/fs/cgroup/memory$memory/memory.limit_in_bytes; else cat $unified/memory.max; fi
if [ "$cpu" ]; then
    cd /sys/fs/cgroup/cpu$cpu
    cat cpu.shares cpu.cfs_quota_us cpu.cfs_period_us
else
    cat $unified/cpu.weight $unified/cpu.max
fi"#;

/// The limits of a container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    /// The memory in bytes.
    pub(crate) memory: u64,
    /// The share of scarce CPU time: `cpu.shares`, or `cpu.weight` in version 2 of cgroups.
    pub(crate) cpu_share: u64,
    /// The number of CPUs that it may use, or `None` without a limit.
    pub(crate) cpu_time: Option<f64>,
}

impl Limits {
    /// Reads the limits of a process's cgroup.
    pub(crate) async fn of(cluster: &Cluster, process: u32) -> Result<Self> {
        let printed = cluster.shell(&format!("process={process}\n{READ}")).await?;
        Self::parse(&printed)
            .with_context(|| format!("the limits of process {process}: {printed:?}"))
    }

    fn parse(printed: &str) -> Option<Self> {
        let words: Vec<&str> = printed.split_whitespace().collect();
        let [memory, share, quota, period] = words[..] else {
            return None;
        };
        let period: f64 = period.parse().ok()?;
        // Without a limit the quota is -1 or `max`.
        let quota = quota.parse::<f64>().ok().filter(|quota| *quota > 0.0);
        Some(Self {
            memory: memory.parse().ok()?,
            cpu_share: share.parse().ok()?,
            cpu_time: quota.map(|quota| quota / period),
        })
    }
}
