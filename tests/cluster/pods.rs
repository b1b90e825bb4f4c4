//! One pod, as the API and the node's kernel see it.

use crate::cluster::Cluster;
use crate::kubectl::POD;
use crate::namespace::{Namespace, items};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use visits_tests::wait;

/// A pod as it was when it was read.
#[derive(Debug)]
pub(crate) struct Pod(Value);

impl Pod {
    /// Reads the pod.
    pub(crate) async fn read(namespace: &Namespace<'_>, name: &str) -> Result<Self> {
        namespace.json(["get", "pod", name]).await.map(Self)
    }

    /// Waits until the pod with this name is ready. It may be replaced meanwhile.
    pub(crate) async fn ready(namespace: &Namespace<'_>, name: &str) -> Result<Self> {
        Self::once(namespace, name, "it is ready", Self::is_ready).await
    }

    /// Waits until the pod meets a condition. It may be missing meanwhile.
    pub(crate) async fn once(
        namespace: &Namespace<'_>,
        name: &str,
        what: &str,
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        Self::once_within(POD, namespace, name, what, wanted).await
    }

    /// Waits like [`Pod::once`], with another deadline.
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

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        text(&self.0["metadata"]["name"])
    }

    /// Returns its unique id, which differs from a later pod's with the same name.
    pub(crate) fn uid(&self) -> &str {
        text(&self.0["metadata"]["uid"])
    }

    /// Returns whether it gets visitors.
    pub(crate) fn is_ready(&self) -> bool {
        let conditions = self.0["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            && self.0["metadata"]["deletionTimestamp"].is_null()
    }

    /// Returns the whole seconds from the start of its container until it was ready.
    pub(crate) fn seconds_until_ready(&self) -> Result<u64> {
        let conditions = self.0["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let ready = conditions.find(|condition| condition["type"] == "Ready");
        let ready = text(&ready.context("no condition Ready")?["lastTransitionTime"]);
        let started = text(&self.container()["state"]["running"]["startedAt"]);
        let time = |text| humantime::parse_rfc3339(text).context(format!("a time {text:?}"));
        let taken = time(ready)?.duration_since(time(started)?);
        Ok(taken.context("it was ready before its start")?.as_secs())
    }

    /// Returns the value of one of its labels, or nothing.
    pub(crate) fn label(&self, name: &str) -> &str {
        text(&self.0["metadata"]["labels"][name])
    }

    /// Returns its first address, once it has one.
    pub(crate) fn address(&self) -> Option<&str> {
        self.0["status"]["podIP"].as_str()
    }

    /// Returns its phase, such as `Running` or `Pending`.
    pub(crate) fn phase(&self) -> &str {
        text(&self.0["status"]["phase"])
    }

    /// Returns whether its container runs.
    pub(crate) fn runs(&self) -> bool {
        self.container()["state"]["running"].is_object()
    }

    /// Returns how often its container was restarted.
    pub(crate) fn restarts(&self) -> u64 {
        self.container()["restartCount"].as_u64().unwrap_or(0)
    }

    /// Fails if its container was restarted.
    pub(crate) fn check_not_restarted(&self) -> Result<()> {
        let restarts = self.restarts();
        ensure!(restarts == 0, "{}: {restarts} restarts", self.name());
        Ok(())
    }

    /// Fails if its container was restarted or is not ready.
    pub(crate) fn check_undisturbed(&self) -> Result<()> {
        self.check_not_restarted()?;
        ensure!(self.is_ready(), "{} is not ready", self.name());
        Ok(())
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

    /// Returns the digest of the image that runs.
    pub(crate) fn image(&self) -> &str {
        text(&self.container()["imageID"])
    }

    /// Returns how its container ended the last time.
    pub(crate) fn last_end(&self) -> &Value {
        &self.container()["lastState"]["terminated"]
    }

    /// Returns its container as the manifests define it.
    pub(crate) fn spec(&self) -> &Value {
        &self.0["spec"]["containers"][0]
    }

    /// Returns its first init container as the manifests define it.
    pub(crate) fn init_spec(&self) -> &Value {
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

    /// Returns the id, on the node, of its container's first process.
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

/// Returns the working set, as kubelet calls it, of a process's cgroup: the memory in bytes without what the kernel would
/// reclaim first.
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
