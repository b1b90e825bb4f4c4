//! A namespace for each test, so that tests can run side by side and leave nothing behind.

use crate::cluster::Cluster;
use crate::diagnosis;
use crate::kubectl::{self, POD};
use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use visits_tests::command::Bounded;
use visits_tests::wait;

/// How long kubelet may take to report an event of a pod.
const EVENT: Duration = Duration::from_secs(90);

/// A namespace. It is deleted on drop with everything in it, including volumes. The drop waits for its pods and claims.
#[derive(Debug)]
pub(crate) struct Namespace<'c> {
    name: String,
    cluster: &'c Cluster,
}

impl<'c> Namespace<'c> {
    /// Runs a test in a new namespace. The namespace enforces the Pod Security standard that the manifests comply with: baseline.
    pub(crate) async fn with(
        cluster: &'c Cluster,
        test: impl AsyncFnOnce(&Namespace<'c>) -> Result<()>,
    ) -> Result<()> {
        Self::with_security(cluster, "baseline", test).await
    }

    /// Runs a test in a new namespace that enforces another Pod Security standard.
    pub(crate) async fn with_security(
        cluster: &'c Cluster,
        standard: &str,
        test: impl AsyncFnOnce(&Namespace<'c>) -> Result<()>,
    ) -> Result<()> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let namespace = Self {
            name: format!("test-{}-{number}", std::process::id()),
            cluster,
        };
        let enforce = json!({ "pod-security.kubernetes.io/enforce": standard });
        kubectl::apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": namespace.name, "labels": enforce },
        }))
        .await?;
        let tested = test(&namespace).await;
        tested.map_err(|error| anyhow!("{error:#}\n{}", diagnosis::of(cluster, namespace.name())))
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its cluster.
    pub(crate) fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// Runs `kubectl` in it and returns the stdout.
    pub(crate) async fn kubectl<const N: usize>(&self, arguments: [&str; N]) -> Result<String> {
        kubectl::run(self.words(&arguments)).await
    }

    /// Runs `kubectl` in it and returns the stdout as JSON.
    pub(crate) async fn json<const N: usize>(&self, arguments: [&str; N]) -> Result<Value> {
        kubectl::json(self.words(&arguments)).await
    }

    /// Runs a subcommand of `kubectl` that waits, with this deadline.
    pub(crate) async fn wait<const N: usize>(
        &self,
        deadline: Duration,
        arguments: [&str; N],
    ) -> Result<String> {
        kubectl::wait(deadline, self.words(&arguments)).await
    }

    /// Applies an object in it.
    pub(crate) async fn apply(&self, mut object: Value) -> Result<()> {
        object["metadata"]["namespace"] = self.name.as_str().into();
        kubectl::apply(&object).await
    }

    /// Returns the API's path to a pod's port 5000, which proxies requests to it.
    pub(crate) fn proxy(&self, pod: &str, path: &str) -> String {
        let name = &self.name;
        format!("/api/v1/namespaces/{name}/pods/{pod}:5000/proxy{path}")
    }

    /// Requests a path of a pod through the API and returns the response's body.
    pub(crate) async fn get(&self, pod: &str, path: &str) -> Result<String> {
        self.kubectl(["get", "--raw", &self.proxy(pod, path)]).await
    }

    /// Waits for an event of this object whose message has these words, and returns the message.
    pub(crate) async fn event(&self, object: &str, words: &str) -> Result<String> {
        let what = format!("an event of {object} with {words:?}");
        let field = format!("--field-selector=involvedObject.name={object}");
        wait::until_every(Duration::from_millis(500), &what, EVENT, async || {
            let events = self.json(["get", "events", &field]).await?;
            let messages = items(&events).filter_map(|event| event["message"].as_str());
            let mut messages = messages.map(str::to_owned);
            Ok(messages.find(|message| message.contains(words)))
        })
        .await
    }

    /// Returns these arguments of `kubectl`, in this namespace.
    pub(crate) fn words(&self, arguments: &[&str]) -> Vec<String> {
        kubectl::in_namespace(&self.name, arguments)
    }

    fn delete(&self) -> Result<()> {
        let now = |arguments: &[&str]| -> Result<()> {
            let command = kubectl::command(arguments)?;
            Bounded::new(command).within(POD).run().map(drop)
        };
        // No visitor is left, so no request needs draining. Deleting even an empty namespace takes some seconds, which need no
        // wait.
        now(&[
            "--namespace",
            &self.name,
            "delete",
            "statefulsets,pods,persistentvolumeclaims",
            "--all",
            "--cascade=orphan",
            "--grace-period=1",
            "--timeout=110s",
        ])?;
        now(&["delete", "namespace", &self.name, "--wait=false"])
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", diagnosis::of(self.cluster, &self.name));
        }
        if let Err(error) = self.delete() {
            eprintln!("note: namespace {} is left behind: {error:#}", self.name);
        }
    }
}

/// Returns the objects of a list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}
