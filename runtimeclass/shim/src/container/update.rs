//! New limits for a container that runs, as in-place resize of pods sets them.
//!
//! A memory limit below what is in use is refused before anything is changed: version 2 of cgroups would answer it by
//! killing the container. The memory limit goes first, by itself, so that a refusal of the kernel's leaves the rest as
//! it was.

use super::memory_limit;
use crate::cgroup::Cgroup;
use crate::request::Update;
use anyhow::{Context, Result, anyhow, ensure};
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager,
};
use libcontainer::config::YoukiConfig;
use libcontainer::container::Container;
use libcontainer::oci_spec::runtime::{LinuxMemory, LinuxResources};
use std::sync::atomic::Ordering;

/// Changes the limits.
pub(super) fn update(request: &Update) -> Result<()> {
    let place = &request.place;
    let mut resources = parse(&request.resources).context("cannot read the new limits")?;
    let cgroup = Cgroup::of(request.init)?;
    let container = Container::load(place.container()).context("cannot load the container")?;
    let config = YoukiConfig::load(place.container()).context("cannot load the container")?;
    let manager = create_cgroup_manager(CgroupConfig {
        cgroup_path: config.cgroup_path,
        systemd_cgroup: container.systemd(),
        container_name: place.id.clone(),
    })
    .context("cannot find the container's cgroup")?;
    // Devices are not limits: what a container may open is decided when it is made.
    resources.set_devices(None);
    let memory = *resources.memory();
    resources.set_memory(None);
    if let Some(memory) = memory {
        limit_memory(request, &cgroup, &manager, memory)?;
    }
    apply(&manager, &resources)
}

/// Reads the limits. (serde alone would take an empty list for limits that change nothing.)
fn parse(text: &str) -> Result<LinuxResources> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    Ok(serde_json::from_value(object.into())?)
}

fn limit_memory(
    request: &Update,
    cgroup: &Cgroup,
    manager: &AnyCgroupManager,
    memory: LinuxMemory,
) -> Result<()> {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    resources.set_memory(Some(memory));
    // Nothing, or 0, leaves the limit as it is; a negative one is none.
    let Some(limit) = memory.limit().filter(|limit| *limit != 0) else {
        return apply(manager, &resources);
    };
    let limit = u64::try_from(limit).unwrap_or(memory_limit::UNLIMITED);
    if let Some(used) = cgroup.memory_in_use() {
        ensure!(
            limit > used,
            "the memory limit cannot be {limit} bytes: the container uses {used}"
        );
    }
    let seen = memory_limit::open(&request.place)?;
    let before = seen.map(|seen| seen.load(Ordering::Acquire));
    // The component follows a lower limit before the kernel enforces it, and a higher one after.
    if let Some(seen) = seen {
        seen.fetch_min(limit, Ordering::AcqRel);
    }
    let applied = apply(manager, &resources);
    if let (Some(seen), Some(before)) = (seen, before) {
        let now = if applied.is_ok() { limit } else { before };
        seen.store(now, Ordering::Release);
    }
    applied
}

fn apply(manager: &AnyCgroupManager, resources: &LinuxResources) -> Result<()> {
    manager
        .apply(&ControllerOpt {
            resources,
            disable_oom_killer: false,
            oom_score_adj: None,
            freezer_state: None,
        })
        .map_err(|error| anyhow!("cannot change the limits: {error}"))
}
