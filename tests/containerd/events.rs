//! containerd's events in the order in which subscribers see them.

use crate::ctr;
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::{Child, Stdio};
use visits_tests::output::Output;
use visits_tests::{DEADLINE, wait};

/// A subscription to the events of one container.
#[derive(Debug)]
pub(crate) struct Events {
    child: Child,
    lines: Output,
    container: String,
}

impl Events {
    /// Subscribes to the events of an existing container and waits until they arrive.
    pub(crate) async fn of(container: &str) -> Result<Self> {
        let mut command = ctr::command(ctr::NAMESPACE, ["events"])?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start ctr events")?;
        let lines = Output::collect(child.stdout.take().context("stdout is not piped")?);
        let events = Self {
            child,
            lines,
            container: container.to_owned(),
        };
        // Nothing reports that the subscription is active, so cause events until one is seen.
        wait::until("events arrive", DEADLINE, async || {
            ctr::run(["containers", "label", container, "seen=no"]).await?;
            Ok((!events.lines.lines().is_empty()).then_some(()))
        })
        .await?;
        Ok(events)
    }

    /// Returns the events since the start of the container's task: the topic's last part, and the id of the exec if it is
    /// about one.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.lines
            .lines()
            .iter()
            .filter_map(|line| Some(self.read(line)?.0))
            .collect()
    }

    /// Waits for these events, in this order and without others.
    pub(crate) async fn are<T>(&self, expected: &[T]) -> Result<()>
    where
        T: AsRef<str> + std::fmt::Debug,
        String: PartialEq<T>,
    {
        let waited = wait::until("the events", DEADLINE, async || {
            Ok((self.seen().len() >= expected.len()).then_some(()))
        });
        let seen = || format!("expected {expected:?}, seen {:?}", self.seen());
        waited.await.with_context(seen)?;
        anyhow::ensure!(self.seen() == expected, "{}", seen());
        Ok(())
    }

    /// Waits for the exit of the container's first process, and returns the process id in that event.
    pub(crate) async fn exit(&self) -> Result<u64> {
        wait::until("the exit", DEADLINE, async || {
            let lines = self.lines.lines();
            let mut events = lines.iter().filter_map(|line| self.read(line));
            let exit = events.find(|(name, _)| name == "exit");
            Ok(exit.and_then(|(_, event)| event["pid"].as_u64()))
        })
        .await
    }

    /// Returns `exec-started e1` for a line `TIME NAMESPACE /tasks/exec-started {"container_id":"c1","exec_id":"e1"}`.
    /// The exit of the first process is `exit`, that of an exec `exit e1`. The event itself comes with it.
    fn read(&self, line: &str) -> Option<(String, Value)> {
        let (head, json) = line.split_at(line.find('{')?);
        let topic = head.trim().rsplit(' ').next()?.strip_prefix("/tasks/")?;
        let event: Value = serde_json::from_str(json).ok()?;
        if event["container_id"] != *self.container {
            return None;
        }
        // Events of the start may arrive after the subscription.
        if ["create", "start"].contains(&topic) {
            return None;
        }
        let exec = event["exec_id"].as_str().or_else(|| {
            let id = event["id"].as_str()?;
            (id != self.container && !id.is_empty()).then_some(id)
        });
        let name = match exec {
            Some(exec) => format!("{topic} {exec}"),
            None => topic.to_owned(),
        };
        Some((name, event))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
