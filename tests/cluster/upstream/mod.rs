//! Kubernetes' own end-to-end tests, step by step, with a component where they have a native program. Upstream's run with
//! native images only (`cargo xtask conformance kubernetes`). Each test names the one that it follows.
//!
//! A component is broken and mended by a file that its exec probe looks for, as upstream moves the page of its web server.

mod hooks;
mod order;
mod probes;
mod updates;

use crate::execs::Exec;
use crate::kubectl::{POD, ROLLOUT};
use crate::namespace::{Namespace, items};
use crate::pods::Pod;
use crate::specs;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use visits_tests::wait;

/// The file that makes a component unready.
const BROKEN: &str = "/app/persistent/broken";

/// A StatefulSet of components, with a volume for each that ends with its pod.
struct Set<'n> {
    namespace: &'n Namespace<'n>,
}

impl<'n> Set<'n> {
    /// Starts this many, and does not wait for them.
    async fn apply(
        namespace: &'n Namespace<'n>,
        replicas: usize,
        management: &str,
        broken: bool,
    ) -> Result<Self> {
        let mut component = specs::component("webserver");
        component["readinessProbe"] = specs::exec(&["test", "!", "-e", BROKEN]);
        component["readinessProbe"]["periodSeconds"] = 1.into();
        component["readinessProbe"]["failureThreshold"] = 1.into();
        component["readinessProbe"]["timeoutSeconds"] = 20.into();
        if broken {
            component["lifecycle"]["postStart"] = specs::exec(&["touch", BROKEN]);
        }
        let labels = json!({ "app": "ss" });
        let pod = specs::pod("", &[component]);
        let template = json!({ "metadata": { "labels": labels }, "spec": pod["spec"] });
        let set = json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": { "name": "ss" },
            "spec": {
                "replicas": replicas,
                "serviceName": "test",
                "podManagementPolicy": management,
                "selector": { "matchLabels": labels },
                "template": template,
            },
        });
        namespace.apply(set).await?;
        Ok(Self { namespace })
    }

    /// Starts three of them one after the other, and waits until all are ready.
    async fn start(namespace: &'n Namespace<'n>) -> Result<Self> {
        let set = Self::apply(namespace, 3, "OrderedReady", false).await?;
        set.rolled_out().await?;
        Ok(set)
    }

    async fn rolled_out(&self) -> Result<()> {
        let status = ["rollout", "status", "statefulset/ss"];
        self.namespace.wait(ROLLOUT, status).await.map(drop)
    }

    /// Makes one of them unready, or ready again, and waits for that.
    async fn set_broken(&self, number: usize, broken: bool) -> Result<()> {
        let pod = format!("ss-{number}");
        let words = if broken {
            ["touch", BROKEN]
        } else {
            ["rm", BROKEN]
        };
        Exec::of(self.namespace, &pod).text(&words).await?;
        let what = if broken {
            "it is broken"
        } else {
            "it is mended"
        };
        let is_so = |pod: &Pod| pod.is_ready() != broken;
        Pod::once(self.namespace, &pod, what, is_so).await.map(drop)
    }

    async fn read(&self) -> Result<Value> {
        self.namespace.json(["get", "statefulset", "ss"]).await
    }

    async fn patch(&self, patch: &Value) -> Result<()> {
        let patch = format!("--patch={patch}");
        let words = ["patch", "statefulset", "ss", "--type=merge", &patch];
        self.namespace.kubectl(words).await.map(drop)
    }

    /// Changes the number of pods and does not wait.
    async fn scale(&self, replicas: usize) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        let words = ["scale", "statefulset/ss", &replicas];
        self.namespace.kubectl(words).await.map(drop)
    }

    /// Waits until the set has this number of pods. Fails if a pod is ever there without all pods of lower numbers.
    async fn once_there_are(&self, wanted: usize, ordered: bool) -> Result<()> {
        let what = format!("{wanted} pods");
        wait::until_every(Duration::from_millis(200), &what, POD, async || {
            let numbers = self.numbers().await?;
            if ordered {
                let lowest: Vec<usize> = (0..numbers.len()).collect();
                ensure!(numbers == lowest, "out of order: {numbers:?}");
            }
            Ok((numbers.len() == wanted).then_some(()))
        })
        .await
    }

    /// Returns the numbers of its pods, sorted.
    async fn numbers(&self) -> Result<Vec<usize>> {
        let pods = self
            .namespace
            .json(["get", "pods", "--selector=app=ss"])
            .await?;
        let names = items(&pods).filter_map(|pod| pod["metadata"]["name"].as_str());
        let numbers = names.map(|name| {
            let number = name
                .strip_prefix("ss-")
                .and_then(|number| number.parse().ok());
            number.with_context(|| format!("a pod {name}"))
        });
        let mut numbers: Vec<usize> = numbers.collect::<Result<_>>()?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Waits until the controller has seen the last change, and returns the revisions: the present one and the one after
    /// the update.
    async fn revisions(&self) -> Result<(String, String)> {
        let what = "the controller has seen the change";
        wait::until_every(Duration::from_millis(200), what, POD, async || {
            let set = self.read().await?;
            let seen = set["status"]["observedGeneration"] == set["metadata"]["generation"];
            let text = |key: &str| set["status"][key].as_str().unwrap_or_default().to_owned();
            Ok(seen.then(|| (text("currentRevision"), text("updateRevision"))))
        })
        .await
    }

    /// Waits until each pod has the revision in its place here and is ready.
    async fn once_revisions_are(&self, wanted: [&str; 3]) -> Result<()> {
        for (number, revision) in wanted.iter().enumerate() {
            let what = format!("it has the revision {revision}");
            let is_so =
                |pod: &Pod| pod.label("controller-revision-hash") == *revision && pod.is_ready();
            Pod::once(self.namespace, &format!("ss-{number}"), &what, is_so).await?;
        }
        Ok(())
    }
}
