//! The Kubernetes API, called with the pod's own token. A pod makes a handful of requests in its life, so this is no
//! client with a runtime and a generated model.

use anyhow::{Context, Result, ensure};
use rustls::crypto::ring;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

#[cfg(test)]
mod tests;

/// The directory in which kubelet keeps the pod's token and the API's certificate authority.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The deadline of each step of a request: connect, one read, one write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest response that is read. A node with all its images takes about 100 kB.
const MAX_RESPONSE: u64 = 16 << 20;

/// A response with another status than 200.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The reason that the API gives.
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl std::error::Error for Refusal {}

/// The API of the cluster that this pod runs in.
pub(crate) struct Api {
    /// `https://HOST:PORT`
    base: String,
    token: PathBuf,
    agent: Agent,
}

impl Api {
    /// Finds the API as Kubernetes announces it to a pod.
    pub(crate) fn of_the_pod() -> Result<Self> {
        let variable = |name| {
            std::env::var(name)
                .with_context(|| format!("{name} is not set (does this run outside a pod?)"))
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let port = port
            .parse()
            .with_context(|| format!("KUBERNETES_SERVICE_PORT={port} is not a port"))?;
        Self::new(&host, port, Path::new(ACCOUNT), TIMEOUT)
    }

    fn new(host: &str, port: u16, account: &Path, timeout: Duration) -> Result<Self> {
        let tls = TlsConfig::builder()
            .root_certs(authorities(&account.join("ca.crt"))?)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            // A proxy of the environment must not see the token.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            // Requests are seconds apart, and k3s restarts its API between two of them.
            .max_idle_connections(0)
            .timeout_connect(Some(timeout))
            .timeout_per_read(Some(timeout))
            .timeout_per_write(Some(timeout))
            .accept("application/json")
            .user_agent("preopen-label")
            .build();
        Ok(Self {
            base: format!("https://{}", authority(host, port)),
            token: account.join("token"),
            agent: config.new_agent(),
        })
    }

    /// Reads an object.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let url = self.base.clone() + path;
        let get = || {
            let request = self.agent.get(&url).header("Authorization", self.bearer()?);
            object(request.call()?)
        };
        get().with_context(|| format!("GET {url}"))
    }

    /// Changes an object by a merge patch, and returns the changed object.
    pub(crate) fn patch(&self, path: &str, patch: &Value) -> Result<Value> {
        let url = self.base.clone() + path;
        let change = || {
            let request = self.agent.patch(&url);
            let request = request.header("Authorization", self.bearer()?);
            let request = request.content_type("application/merge-patch+json");
            object(request.send(patch.to_string())?)
        };
        change().with_context(|| format!("PATCH {url}"))
    }

    /// Reads the token. kubelet replaces it before it expires, so each request reads it again.
    fn bearer(&self) -> Result<String> {
        let token = std::fs::read_to_string(&self.token)
            .with_context(|| format!("cannot read {}", self.token.display()))?;
        Ok(format!("Bearer {}", token.trim()))
    }
}

/// Reads the certificate authorities in a file.
fn authorities(file: &Path) -> Result<RootCerts> {
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) =
            item.with_context(|| file.display().to_string())?
        {
            certificates.push(certificate);
        }
    }
    ensure!(
        !certificates.is_empty(),
        "{} holds no certificate",
        file.display()
    );
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Returns the host and port as a URL writes them.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Returns the object in a response. Another status than 200 is the error [`Refusal`].
fn object(mut response: Response<ureq::Body>) -> Result<Value> {
    let body = response.body_mut().with_config().limit(MAX_RESPONSE);
    let object = body
        .read_to_vec()
        .map_err(anyhow::Error::from)
        .and_then(|body| Ok(serde_json::from_slice::<Value>(&body)?));
    let status = response.status().as_u16();
    if status == 200 {
        return object.context("the response is not a whole JSON document");
    }
    let message = object
        .ok()
        .and_then(|status| Some(status["message"].as_str()?.to_owned()));
    Err(Refusal {
        status,
        message: message.unwrap_or_default(),
    }
    .into())
}
