//! `kubectl exec` in a pod: its input, transport, output and refusal.

use crate::kubectl;
use crate::namespace::Namespace;
use anyhow::{Result, bail};
use std::process::Command;
use visits_tests::command::Bounded;

/// The variable by which kubectl chooses a [`Transport`].
const WEBSOCKETS: &str = "KUBECTL_REMOTE_COMMAND_WEBSOCKETS";

/// The protocol that carries the streams between kubectl and the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The default of kubectl.
    WebSocket,
    /// The protocol of older clients.
    Spdy,
}

impl Transport {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::WebSocket, Self::Spdy];

    /// The words that kubectl logs at level 4 if it uses WebSockets.
    pub(crate) const WEBSOCKET_LOG: &str = "Subprotocol negotiated";
}

/// A command that runs in a container of a pod.
#[derive(Debug)]
pub(crate) struct Exec<'n> {
    namespace: &'n Namespace<'n>,
    pod: String,
    container: Option<&'static str>,
    transport: Option<Transport>,
    input: Vec<u8>,
    yields: bool,
}

impl<'n> Exec<'n> {
    /// Makes a command for the default container of the pod, without an input.
    pub(crate) fn of(namespace: &'n Namespace<'n>, pod: &str) -> Self {
        Self {
            namespace,
            pod: pod.to_owned(),
            container: None,
            transport: None,
            input: Vec::new(),
            yields: false,
        }
    }

    /// Runs it in another container of the pod.
    pub(crate) fn container(mut self, name: &'static str) -> Self {
        self.container = Some(name);
        self
    }

    /// Runs it over this transport. An error then contains what kubectl logs about that.
    pub(crate) fn over(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Gives it these bytes, at least one, as its standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Makes kubectl yield the CPU. Hundreds of kubectl on the machine of the pods would take it from them, because pods
    /// have a small share; elsewhere kubectl runs on a machine of its own.
    pub(crate) fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }

    /// Runs the command. Returns its standard output. Fails with its standard error and exit code if that is not 0.
    pub(crate) async fn bytes(self, words: &[&str]) -> Result<Vec<u8>> {
        let mut line = vec!["exec", &self.pod];
        line.extend(
            self.container
                .into_iter()
                .flat_map(|name| ["--container", name]),
        );
        line.extend(self.transport.map(|_| "--v=4"));
        line.extend((!self.input.is_empty()).then_some("--stdin"));
        line.push("--");
        line.extend(words);
        let mut command = kubectl::command(self.namespace.words(&line))?;
        if self.yields {
            let kubectl = command;
            command = Command::new("nice");
            command
                .arg("--adjustment=19")
                .arg(kubectl.get_program())
                .args(kubectl.get_args());
        }
        if let Some(transport) = self.transport {
            let websockets = transport == Transport::WebSocket;
            command.env(WEBSOCKETS, websockets.to_string());
        }
        Bounded::new(command).input(self.input).run_beside().await
    }

    /// Runs the command. Returns its standard output as text.
    pub(crate) async fn text(self, words: &[&str]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(words).await?).into_owned())
    }

    /// Runs a command that fails. Returns its exit code and standard error, as kubectl reports them.
    pub(crate) async fn refused(self, words: &[&str]) -> Result<String> {
        match self.text(words).await {
            Ok(printed) => bail!("{words:?} succeeded: {printed}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }
}
