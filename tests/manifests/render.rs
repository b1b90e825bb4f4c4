//! Manifests as kubectl renders them, as JSON.

use crate::repository;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use visits_tests::artifacts;
use visits_tests::command::Bounded;

/// The annotation that kubectl adds while it converts YAML to JSON: only `annotate` does that without a server.
const MARK: &str = "visits/rendered=true";

/// The objects of one rendering.
#[derive(Debug)]
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl Objects {
    /// Renders a directory of the repository as `kubectl apply -k` does.
    pub(crate) fn of(directory: &str) -> Result<Self> {
        Self::at(&repository().join(directory))
    }

    /// Renders any directory as `kubectl apply -k` does.
    pub(crate) fn at(directory: &Path) -> Result<Self> {
        let directory = directory.to_str().context("the path is UTF-8")?;
        let yaml = kubectl(&["kustomize", directory], Vec::new())?;
        Self::parse(yaml)
    }

    /// Reads the objects in a file of the repository.
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

    /// Returns the only object with this kind and name.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<&Value> {
        let mut found = self
            .0
            .iter()
            .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        let object = found.next().with_context(|| format!("no {kind} {name}"))?;
        ensure!(found.next().is_none(), "more than one {kind} {name}");
        Ok(object)
    }

    /// Returns the counters' pod template.
    pub(crate) fn pod(&self) -> Result<&Value> {
        Ok(&self.get("StatefulSet", "visits")?["spec"]["template"]["spec"])
    }

    /// Returns the counter's container.
    pub(crate) fn counter(&self) -> Result<&Value> {
        Ok(&self.pod()?["containers"][0])
    }

    /// Returns the kind and name of each object.
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
    // kubectl must not contact the user's cluster.
    command.args(arguments).env("KUBECONFIG", "/dev/null");
    Bounded::new(command).input(input).run()
}
