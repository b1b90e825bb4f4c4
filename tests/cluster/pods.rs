//! One pod, as the API and as the node's kernel have it.

use crate::cluster::Cluster;
use crate::kubectl::POD;
use crate::namespace::{Namespace, items};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use visits_tests::wait;

/// A pod at the time of asking.
#[derive(Debug)]
pub(crate) struct Pod(Value);

impl Pod {
    /// Asks for it.
    pub(crate) async fn read(namespace: &Namespace<'_>, name: &str) -> Result<Self> {
        namespace.json(["get", "pod", name]).await.map(Self)
    }

    /// Waits until it is ready, whichever pod bears the name.
    pub(crate) async fn ready(namespace: &Namespace<'_>, name: &str) -> Result<Self> {
        Self::once(namespace, name, "it is ready", Self::is_ready).await
    }

    /// Waits until this is true of it. For that moment it may be missing.
    pub(crate) async fn once(
        namespace: &Namespace<'_>,
        name: &str,
        what: &str,
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        Self::once_within(POD, namespace, name, what, wanted).await
    }

    /// The same, so long.
    pub(crate) async fn once_within(
        deadline: Duration,
        namespace: &Namespace<'_>,
        name: &str,
        what: &str,
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        let field = format!("--field-selector=metadata.name={name}");
        let what = format!("pod {name}: {what}");
        wait::until_every(Duration::from_millis(300), &what, deadline, async || {
            let pods = namespace.json(["get", "pods", &field]).await?;
            let pod = items(&pods).next().cloned().map(Self);
            Ok(pod.filter(&wanted))
        })
        .await
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        text(&self.0["metadata"]["name"])
    }

    /// By which it is told from another of its name.
    pub(crate) fn uid(&self) -> &str {
        text(&self.0["metadata"]["uid"])
    }

    /// Whether it gets visitors.
    pub(crate) fn is_ready(&self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            && self.0["metadata"]["deletionTimestamp"].is_null()
    }

    /// `Running`, `Pending` and so on.
    pub(crate) fn phase(&self) -> &str {
        text(&self.0["status"]["phase"])
    }

    /// Returns whether its container runs.
    pub(crate) fn runs(&self) -> bool {
        self.container()["state"]["running"].is_object()
    }

    /// How often its container was started again.
    pub(crate) fn restarts(&self) -> u64 {
        self.container()["restartCount"].as_u64().unwrap_or(0)
    }

    /// Returns the resources of its container, as kubelet reports them.
    pub(crate) fn resources(&self) -> &Value {
        &self.container()["resources"]
    }

    /// Returns whether a resize is pending or in progress.
    pub(crate) fn is_resizing(&self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| {
            text(&condition["type"]).starts_with("PodResize") && condition["status"] == "True"
        })
    }

    /// The image that runs, by what is in it.
    pub(crate) fn image(&self) -> &str {
        text(&self.container()["imageID"])
    }

    /// How its container ended the last time.
    pub(crate) fn last_end(&self) -> &Value {
        &self.container()["lastState"]["terminated"]
    }

    /// Its container, as the manifests gave it.
    pub(crate) fn spec(&self) -> &Value {
        &self.0["spec"]["containers"][0]
    }

    /// The container that runs before, likewise.
    pub(crate) fn first(&self) -> &Value {
        &self.0["spec"]["initContainers"][0]
    }

    /// Returns containerd's id of its container.
    pub(crate) fn container_id(&self) -> Result<&str> {
        self.id(self.container())
    }

    /// Returns containerd's ids of all its containers.
    pub(crate) fn container_ids(&self) -> Result<Vec<&str>> {
        let containers = self.0["status"]["containerStatuses"].as_array();
        let containers = containers.into_iter().flatten();
        containers.map(|container| self.id(container)).collect()
    }

    fn id<'s>(&self, status: &'s Value) -> Result<&'s str> {
        let id = text(&status["containerID"]);
        let id = id.strip_prefix("containerd://").unwrap_or_default();
        ensure!(!id.is_empty(), "pod {} has no container yet", self.name());
        Ok(id)
    }

    /// The first process of its container, as the node sees it: the kernel knows which belong to it.
    pub(crate) async fn process(&self, cluster: &Cluster) -> Result<u32> {
        let id = self.container_id()?;
        let found = cluster
            .shell(&format!(
                "grep -ls {id} /proc/[0-9]*/cgroup | cut -d/ -f3 | sort -n | head -n 1"
            ))
            .await?;
        let process = found.trim().parse();
        process.with_context(|| {
            format!(
                "no process in the container of pod {}: {found:?}",
                self.name()
            )
        })
    }

    fn container(&self) -> &Value {
        &self.0["status"]["containerStatuses"][0]
    }
}

/// The memory, in bytes, that the kernel has counted for the cgroup of this process and that it would not give back: what
/// kubelet calls the working set.
pub(crate) async fn working_set(cluster: &Cluster, process: u32) -> Result<u64> {
    let printed = cluster
        .shell(&format!(
            "one=$(sed -n 's/^[0-9]*:memory://p' /proc/{process}/cgroup)\n\
             two=$(sed -n 's/^0:://p' /proc/{process}/cgroup)\n\
             if [ -n \"$one\" ]; then\n\
             cd /sys/fs/cgroup/memory$one; cat memory.usage_in_bytes; sed -n 's/^total_inactive_file //p' memory.stat\n\
             else\n\
             cd /sys/fs/cgroup$two; cat memory.current; sed -n 's/^inactive_file //p' memory.stat\n\
             fi"
        ))
        .await?;
    let mut numbers = printed.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(usage), Some(inactive)) => Ok(usage?.saturating_sub(inactive?)),
        _ => anyhow::bail!("the memory of process {process}: {printed:?}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
