//! The Kubernetes API, as a pod finds it: one request to a connection, in HTTP/1.0, whose answers end with it. Two
//! requests in a pod's life are not worth a client with a pool, a runtime and a generated model.

use anyhow::{Context, Result, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where kubelet puts a pod's token and the certificate to check the API by.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// For each step of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A node with all its images is some 100 kB.
const LIMIT: u64 = 16 << 20;

/// A response with another status than 200.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: String,
    /// The reason that the API gives.
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.message)
    }
}

impl std::error::Error for Refusal {}

/// The API and what it takes to be let in.
pub(crate) struct Api {
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
}

impl Api {
    /// The one of the cluster that this pod is in.
    pub(crate) fn of_the_pod() -> Result<Self> {
        let variable = |name| {
            std::env::var(name).with_context(|| format!("{name} is not set: this runs in a pod"))
        };
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        Ok(Self {
            host: variable("KUBERNETES_SERVICE_HOST")?,
            port: port
                .parse()
                .with_context(|| format!("KUBERNETES_SERVICE_PORT={port}"))?,
            tls: tls(&Path::new(ACCOUNT).join("ca.crt"))?,
        })
    }

    /// Reads an object.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, None)
    }

    /// Changes an object.
    pub(crate) fn patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.request("PATCH", path, Some(patch))
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.exchange(method, path, body).with_context(|| {
            format!(
                "{method} https://{}{path}",
                authority(&self.host, self.port)
            )
        })
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        // Read each time, for kubelet replaces it before it expires.
        let file = Path::new(ACCOUNT).join("token");
        let token = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let request = request(
            method,
            path,
            &authority(&self.host, self.port),
            token.trim(),
            body,
        );
        let name = ServerName::try_from(self.host.clone()).context("KUBERNETES_SERVICE_HOST")?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
        let mut stream = StreamOwned::new(connection, self.connect()?);
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        (&mut stream).take(LIMIT).read_to_end(&mut answer)?;
        parse(&answer)
    }

    fn connect(&self) -> Result<TcpStream> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        let address = addresses
            .next()
            .context("KUBERNETES_SERVICE_HOST has no address")?;
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(stream)
    }
}

fn tls(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let read = |error| anyhow::anyhow!("{}: {error}", authority.display());
    for certificate in CertificateDer::pem_file_iter(authority).map_err(read)? {
        roots.add(certificate.map_err(read)?)?;
    }
    ensure!(
        !roots.is_empty(),
        "{}: no certificate in it",
        authority.display()
    );
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Host and port as a URL has them.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

fn request(method: &str, path: &str, authority: &str, token: &str, body: Option<&Value>) -> String {
    let body = body.map(Value::to_string).unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\n\
         Accept: application/json\r\nContent-Type: application/merge-patch+json\r\n\
         User-Agent: preopen-label\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Returns the object in an answer. Another status is the error [`Refusal`].
pub(crate) fn parse(answer: &[u8]) -> Result<Value> {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("the answer is not HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).context("the answer has no status")?;
    let body = serde_json::from_slice::<Value>(&answer[end + 4..]);
    if status != "200" {
        let message = body
            .ok()
            .and_then(|body| Some(body["message"].as_str()?.to_owned()));
        return Err(Refusal {
            status: status.to_owned(),
            message: message.unwrap_or_default(),
        }
        .into());
    }
    body.context("the answer is cut off, or no JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_object() {
        let answer =
            b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"kind\":\"Node\"}";
        assert_eq!(parse(answer).expect("it is whole")["kind"], "Node");
    }

    #[test]
    fn a_refusal_is_an_error_with_what_the_api_says() {
        let answer = b"HTTP/1.0 403 Forbidden\r\n\r\n{\"message\":\"nodes is forbidden\"}";
        let error = parse(answer).expect_err("403").to_string();
        assert_eq!(error, "403: nodes is forbidden");
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        assert!(parse(b"HTTP/1.0 200 OK\r\n\r\n{\"kind\":").is_err());
        assert!(parse(b"HTTP/1.0 200 OK\r\n").is_err());
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let request = request(
            "PATCH",
            "/x",
            &authority("fd00::1", 443),
            "t",
            Some(&Value::Null),
        );
        assert!(request.contains("Host: [fd00::1]:443\r\n"), "{request}");
        assert!(
            request.ends_with("Content-Length: 4\r\n\r\nnull"),
            "{request}"
        );
    }
}
