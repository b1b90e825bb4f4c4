//! A namespace for each test, so that tests run side by side and leave nothing behind.

use crate::cluster::Cluster;
use crate::diagnosis;
use crate::kubectl::{self, POD};
use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use visits_tests::command::Bounded;
use visits_tests::wait;

/// How long kubelet may take to tell what happened to a pod.
const EVENT: Duration = Duration::from_secs(90);

/// A namespace. With everything in it, volumes too, it is deleted on drop; its pods and claims are gone then.
#[derive(Debug)]
pub(crate) struct Namespace<'c> {
    name: String,
    cluster: &'c Cluster,
}

impl<'c> Namespace<'c> {
    /// Runs a test in a new namespace, which enforces what the manifests promise to keep: baseline.
    pub(crate) async fn with(
        cluster: &'c Cluster,
        test: impl AsyncFnOnce(&Namespace<'c>) -> Result<()>,
    ) -> Result<()> {
        Self::with_security(cluster, "baseline", test).await
    }

    /// The same in a namespace that enforces another Pod Security standard.
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
        tested.map_err(|error| anyhow!("{error:#}\n{}", diagnosis::of(&namespace)))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it is on.
    pub(crate) fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// `kubectl` in it; what it printed.
    pub(crate) async fn kubectl<const N: usize>(&self, arguments: [&str; N]) -> Result<String> {
        kubectl::run(self.words(&arguments)).await
    }

    /// The same, as JSON.
    pub(crate) async fn json<const N: usize>(&self, arguments: [&str; N]) -> Result<Value> {
        kubectl::json(self.words(&arguments)).await
    }

    /// The same for what waits, so long.
    pub(crate) async fn wait<const N: usize>(
        &self,
        deadline: Duration,
        arguments: [&str; N],
    ) -> Result<String> {
        kubectl::wait(deadline, self.words(&arguments)).await
    }

    /// Applies an object here.
    pub(crate) async fn apply(&self, mut object: Value) -> Result<()> {
        object["metadata"]["namespace"] = self.name.as_str().into();
        kubectl::apply(&object).await
    }

    /// Waits for an event of this object whose message has these words, and returns the message.
    pub(crate) async fn event(&self, object: &str, words: &str) -> Result<String> {
        let what = format!("an event of {object} that says {words:?}");
        let field = format!("--field-selector=involvedObject.name={object}");
        wait::until_every(Duration::from_millis(500), &what, EVENT, async || {
            let events = self.json(["get", "events", &field]).await?;
            let messages = items(&events).filter_map(|event| event["message"].as_str());
            let mut messages = messages.map(str::to_owned);
            Ok(messages.find(|message| message.contains(words)))
        })
        .await
    }

    /// `ARGUMENTS --namespace NAME`, the option where it cannot be taken for another command's.
    pub(crate) fn words(&self, arguments: &[&str]) -> Vec<String> {
        let mut words = vec![format!("--namespace={}", self.name)];
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        words
    }

    fn delete(&self) -> Result<()> {
        let now = |arguments: &[&str]| -> Result<()> {
            let command = kubectl::command(arguments)?;
            Bounded::new(command).within(POD).run().map(drop)
        };
        // Nobody visits any more, so nothing is to be drained. Then the namespace needs no more waiting for: its own end
        // takes the API some seconds even when it is empty.
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
            eprintln!("{}", diagnosis::of(self));
        }
        if let Err(error) = self.delete() {
            eprintln!("note: namespace {} is left behind: {error:#}", self.name);
        }
    }
}

/// The objects of a list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}
