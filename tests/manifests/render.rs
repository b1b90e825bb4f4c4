//! Manifests as kubectl renders them, as JSON.

use crate::repository;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use visits_tests::artifacts;
use visits_tests::command::Bounded;

/// The annotation that kubectl adds on the way from YAML to JSON: it has no other command for that without a server.
const MARK: &str = "visits/rendered=true";

/// The objects of one rendering.
#[derive(Debug)]
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// What `kubectl apply -k` sends for this directory of the repository.
    pub(crate) fn of(directory: &str) -> Result<Self> {
        Self::at(&repository().join(directory))
    }

    /// The same for a directory anywhere.
    pub(crate) fn at(directory: &Path) -> Result<Self> {
        let directory = directory.to_str().context("the path is UTF-8")?;
        let yaml = kubectl(&["kustomize", directory], Vec::new())?;
        Self::parse(yaml)
    }

    /// The objects of one file of the repository.
    pub(crate) fn file(path: &str) -> Result<Self> {
        let yaml = std::fs::read(repository().join(path)).context(path.to_owned())?;
        Self::parse(yaml)
    }

    fn parse(yaml: Vec<u8>) -> Result<Self> {
        let arguments = ["annotate", "--local", "-f", "-", "-o", "json", MARK];
        let json = kubectl(&arguments, yaml)?;
        let objects = serde_json::Deserializer::from_slice(&json).into_iter();
        Ok(Self(objects.collect::<Result<_, _>>()?))
    }

    /// The one object of that kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<&Value> {
        let mut found = self
            .0
            .iter()
            .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        let object = found.next().with_context(|| format!("no {kind} {name}"))?;
        ensure!(found.next().is_none(), "more than one {kind} {name}");
        Ok(object)
    }

    /// The counters' pod.
    pub(crate) fn pod(&self) -> Result<&Value> {
        Ok(&self.get("StatefulSet", "visits")?["spec"]["template"]["spec"])
    }

    /// The counter in it.
    pub(crate) fn counter(&self) -> Result<&Value> {
        Ok(&self.pod()?["containers"][0])
    }

    /// Kind and name of each.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |object: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            text(&object["kind"]) + " " + &text(&object["metadata"]["name"])
        };
        self.0.iter().map(name).collect()
    }
}

fn kubectl(arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>> {
    let mut command = Command::new(artifacts::kubectl()?);
    // No cluster of the user's is asked for anything.
    command.args(arguments).env("KUBECONFIG", "/dev/null");
    Bounded::new(command).input(input).run()
}
