//! A container's metrics for `kubectl top` and the kubelet's eviction, read from the cgroup's files, in the message of the
//! cgroup's version.
//!
//! `containerd-shim` has a collector too, but it leaves out the processor time of version 1 and all limits. Without a
//! memory limit the kubelet computes wrong numbers.

use crate::cgroup::{Cgroup, fields, number};
use containerd_shim::protos::protobuf::MessageDyn;
use containerd_shim::protos::{cgroups::metrics as v1, cgroups_v2::metrics as v2};
use std::collections::BTreeMap;

/// Reads the metrics of a container.
pub(crate) fn collect(cgroup: &Cgroup) -> Box<dyn MessageDyn> {
    if cgroup.is_unified() {
        Box::new(unified(cgroup))
    } else {
        Box::new(by_controller(cgroup))
    }
}

fn by_controller(cgroup: &Cgroup) -> v1::Metrics {
    let mut metrics = v1::Metrics::new();
    metrics.cpu = Some(processor(cgroup)).into();
    metrics.memory = Some(memory(cgroup)).into();
    metrics.memory_oom_control = out_of_memory(cgroup).into();
    let pids = cgroup.controller("pids");
    metrics.pids = Some(v1::PidsStat {
        current: number(&pids.join("pids.current")).unwrap_or(0),
        limit: process_limit(number(&pids.join("pids.max"))),
        ..Default::default()
    })
    .into();
    metrics
}

fn processor(cgroup: &Cgroup) -> v1::CPUStat {
    let account = cgroup.controller("cpuacct");
    let throttled = fields(&cgroup.controller("cpu").join("cpu.stat"));
    let nanoseconds = |name: &str| number(&account.join(name)).unwrap_or(0);
    v1::CPUStat {
        usage: Some(v1::CPUUsage {
            total: nanoseconds("cpuacct.usage"),
            user: nanoseconds("cpuacct.usage_user"),
            kernel: nanoseconds("cpuacct.usage_sys"),
            ..Default::default()
        })
        .into(),
        throttling: Some(v1::Throttle {
            periods: get(&throttled, "nr_periods"),
            throttled_periods: get(&throttled, "nr_throttled"),
            throttled_time: get(&throttled, "throttled_time"),
            ..Default::default()
        })
        .into(),
        ..Default::default()
    }
}

fn memory(cgroup: &Cgroup) -> v1::MemoryStat {
    let directory = cgroup.controller("memory");
    let stat = fields(&directory.join("memory.stat"));
    let entry = |prefix: &str| -> Option<v1::MemoryEntry> {
        let read = |name: &str| number(&directory.join(format!("{prefix}.{name}")));
        Some(v1::MemoryEntry {
            usage: read("usage_in_bytes")?,
            limit: read("limit_in_bytes")?,
            max: read("max_usage_in_bytes")?,
            failcnt: read("failcnt")?,
            ..Default::default()
        })
    };
    v1::MemoryStat {
        usage: entry("memory").into(),
        // Absent if the kernel does not count swap.
        swap: entry("memory.memsw").into(),
        kernel: entry("memory.kmem").into(),
        cache: get(&stat, "cache"),
        rss: get(&stat, "rss"),
        mapped_file: get(&stat, "mapped_file"),
        pg_fault: get(&stat, "pgfault"),
        pg_maj_fault: get(&stat, "pgmajfault"),
        inactive_anon: get(&stat, "inactive_anon"),
        active_anon: get(&stat, "active_anon"),
        inactive_file: get(&stat, "inactive_file"),
        active_file: get(&stat, "active_file"),
        hierarchical_memory_limit: get(&stat, "hierarchical_memory_limit"),
        total_cache: get(&stat, "total_cache"),
        total_rss: get(&stat, "total_rss"),
        total_mapped_file: get(&stat, "total_mapped_file"),
        total_pg_fault: get(&stat, "total_pgfault"),
        total_pg_maj_fault: get(&stat, "total_pgmajfault"),
        total_inactive_anon: get(&stat, "total_inactive_anon"),
        total_active_anon: get(&stat, "total_active_anon"),
        total_inactive_file: get(&stat, "total_inactive_file"),
        total_active_file: get(&stat, "total_active_file"),
        ..Default::default()
    }
}

/// Returns what the kernel reports about OOM kills. Absent if the cgroup is gone.
fn out_of_memory(cgroup: &Cgroup) -> Option<v1::MemoryOomControl> {
    let control = fields(&cgroup.controller("memory").join("memory.oom_control"));
    (!control.is_empty()).then(|| v1::MemoryOomControl {
        oom_kill_disable: get(&control, "oom_kill_disable"),
        under_oom: get(&control, "under_oom"),
        oom_kill: get(&control, "oom_kill"),
        ..Default::default()
    })
}

fn unified(cgroup: &Cgroup) -> v2::Metrics {
    let directory = cgroup.controller("memory");
    let read = |name: &str| number(&directory.join(name)).unwrap_or(0);
    let cpu = fields(&directory.join("cpu.stat"));
    let stat = fields(&directory.join("memory.stat"));
    let events = fields(&directory.join("memory.events"));
    let mut metrics = v2::Metrics::new();
    metrics.cpu = Some(v2::CPUStat {
        usage_usec: get(&cpu, "usage_usec"),
        user_usec: get(&cpu, "user_usec"),
        system_usec: get(&cpu, "system_usec"),
        nr_periods: get(&cpu, "nr_periods"),
        nr_throttled: get(&cpu, "nr_throttled"),
        throttled_usec: get(&cpu, "throttled_usec"),
        ..Default::default()
    })
    .into();
    metrics.memory = Some(v2::MemoryStat {
        usage: read("memory.current"),
        usage_limit: read("memory.max"),
        max_usage: read("memory.peak"),
        swap_usage: read("memory.swap.current"),
        swap_limit: read("memory.swap.max"),
        anon: get(&stat, "anon"),
        file: get(&stat, "file"),
        kernel_stack: get(&stat, "kernel_stack"),
        slab: get(&stat, "slab"),
        shmem: get(&stat, "shmem"),
        file_mapped: get(&stat, "file_mapped"),
        inactive_anon: get(&stat, "inactive_anon"),
        active_anon: get(&stat, "active_anon"),
        inactive_file: get(&stat, "inactive_file"),
        active_file: get(&stat, "active_file"),
        pgfault: get(&stat, "pgfault"),
        pgmajfault: get(&stat, "pgmajfault"),
        ..Default::default()
    })
    .into();
    metrics.memory_events = Some(v2::MemoryEvents {
        low: get(&events, "low"),
        high: get(&events, "high"),
        max: get(&events, "max"),
        oom: get(&events, "oom"),
        oom_kill: get(&events, "oom_kill"),
        ..Default::default()
    })
    .into();
    metrics.pids = Some(v2::PidsStat {
        current: read("pids.current"),
        limit: process_limit(number(&directory.join("pids.max"))),
        ..Default::default()
    })
    .into();
    metrics
}

/// Returns the limit as the message has it: 0 means unlimited. (For memory the largest number means unlimited.)
fn process_limit(limit: Option<u64>) -> u64 {
    limit.filter(|limit| *limit != u64::MAX).unwrap_or(0)
}

fn get(fields: &BTreeMap<String, u64>, name: &str) -> u64 {
    fields.get(name).copied().unwrap_or(0)
}
