//! The request to change the limits of a container that runs. In-place resize of pods uses it.
//!
//! A memory limit below the memory in use is refused before anything is changed, because on cgroup version 2 the kernel
//! would kill the container. The memory limit is set first and separately. If the kernel refuses it, the other limits stay
//! as they were.

use super::resources::memory_limit;
use crate::cgroup::Cgroup;
use crate::request::UpdateRequest;
use anyhow::{Context, Result, anyhow, ensure};
use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, create_cgroup_manager,
};
use libcontainer::config::YoukiConfig;
use libcontainer::container::Container;
use libcontainer::oci_spec::runtime::{LinuxMemory, LinuxResources};
use std::sync::atomic::Ordering;

/// Changes the limits.
pub(super) fn update(request: &UpdateRequest) -> Result<()> {
    let location = &request.location;
    let mut resources = parse(&request.resources).context("cannot read the new limits")?;
    let cgroup = Cgroup::of(request.init)?;
    let container = Container::load(location.container()).context("cannot load the container")?;
    let config = YoukiConfig::load(location.container()).context("cannot load the container")?;
    let manager = create_cgroup_manager(CgroupConfig {
        cgroup_path: config.cgroup_path,
        systemd_cgroup: container.systemd(),
        container_name: location.id.clone(),
    })
    .context("cannot find the container's cgroup")?;
    // The rules for devices are fixed when the container is created.
    resources.set_devices(None);
    let memory = *resources.memory();
    resources.set_memory(None);
    if let Some(memory) = memory {
        limit_memory(request, &cgroup, &manager, memory)?;
    }
    apply(&manager, &resources)
}

/// Parses the limits. Accepts only an object, because serde would also accept an empty list.
fn parse(text: &str) -> Result<LinuxResources> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    Ok(serde_json::from_value(object.into())?)
}

fn limit_memory(
    request: &UpdateRequest,
    cgroup: &Cgroup,
    manager: &AnyCgroupManager,
    memory: LinuxMemory,
) -> Result<()> {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    resources.set_memory(Some(memory));
    // A missing limit, or 0, means no change. A negative one means no limit.
    let Some(limit) = memory.limit().filter(|limit| *limit != 0) else {
        return apply(manager, &resources);
    };
    let limit = u64::try_from(limit).unwrap_or(memory_limit::UNLIMITED);
    if let Some(used) = cgroup.memory_in_use() {
        ensure!(
            limit > used,
            "cannot set a memory limit of {limit} bytes: the container uses {used} bytes of memory"
        );
    }
    let shared = memory_limit::open(&request.location)?;
    let before = shared.map(|shared| shared.load(Ordering::Acquire));
    // The component gets a lower limit before the kernel does, and a higher limit after the kernel.
    if let Some(shared) = shared {
        shared.fetch_min(limit, Ordering::AcqRel);
    }
    let applied = apply(manager, &resources);
    if let (Some(shared), Some(before)) = (shared, before) {
        let now = if applied.is_ok() { limit } else { before };
        shared.store(now, Ordering::Release);
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
