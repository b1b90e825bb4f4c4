//! Outbound requests over TLS to a server with a certificate of a private authority.

use crate::common::refusal;
use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use visits_tests::{App, Host, HostBuilder, artifacts, get};

/// A server of `https://localhost`, and a directory with the certificate of its authority.
struct Server {
    address: SocketAddr,
    directory: TempDir,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::try_from(key.serialize_der());
        let key = key.map_err(|error| anyhow::anyhow!("{error}"))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let directory = TempDir::new()?;
        std::fs::write(directory.path().join("ca.pem"), authority.pem())?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let _ = stream.read(&mut [0; 1024]).await?;
                    let response =
                        "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nprivate";
                    stream.write_all(response.as_bytes()).await?;
                    stream.shutdown().await
                });
            }
        });
        Ok(Self {
            address,
            directory,
            task,
        })
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Returns the responses that the component of that host fetches from the server, by its name and by its address.
    async fn fetched(&self, host: HostBuilder) -> Result<Vec<String>> {
        let host = host.start().await?;
        let mut fetched = Vec::new();
        for name in ["localhost", "127.0.0.1"] {
            let url = format!("https://{name}:{}/", self.address.port());
            let reply = get(host.address(), &format!("/fetch?url={url}")).await?;
            fetched.push(reply.text().trim().to_owned());
        }
        Ok(fetched)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn app() -> Result<App> {
    let lines = "allowed_outbound_hosts = [\"https://*:*\"]";
    App::with_manifest_lines(&artifacts::probe_wasm()?, lines)
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_if_it_is_given() -> Result<()> {
    let (server, app) = (Server::start().await?, app()?);
    let refused = server.fetched(Host::of(&app)).await?;
    ensure!(
        refused
            .iter()
            .all(|error| error.contains("TlsCertificateError")),
        "{refused:?}"
    );
    let file = server.file();
    let directory = server.directory.path();
    for host in [
        Host::of(&app).arg("--ca-file").arg(&file),
        Host::of(&app).env("SSL_CERT_FILE", &file),
        Host::of(&app).env("SSL_CERT_DIR", directory),
    ] {
        let fetched = server.fetched(host.clone()).await?;
        ensure!(fetched == ["7 bytes", "7 bytes"], "{host:?}: {fetched:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_source_without_certificates_is_refused_at_the_start() -> Result<()> {
    let app = app()?;
    let manifest = app.manifest();
    let missing = app.directory().join("missing.pem");
    let named = |path: &Path| path.display().to_string();
    for (host, option, path) in [
        (
            Host::of(&app).arg("--ca-file").arg(&manifest),
            "--ca-file",
            &manifest,
        ),
        (
            Host::of(&app).arg("--ca-file").arg(&missing),
            "--ca-file",
            &missing,
        ),
        (
            Host::of(&app).env("SSL_CERT_FILE", &missing),
            "SSL_CERT_FILE",
            &missing,
        ),
        (
            Host::of(&app).env("SSL_CERT_DIR", &missing),
            "SSL_CERT_DIR",
            &missing,
        ),
    ] {
        let line = refusal(host, 1).await?;
        let says = format!("error: {option} {}", named(path));
        ensure!(line.starts_with(&says), "not {says:?}: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn an_application_without_outbound_requests_reads_no_certificates() -> Result<()> {
    let app = App::new(&artifacts::probe_wasm()?)?;
    let host = Host::of(&app)
        .env("SSL_CERT_FILE", "/nowhere.pem")
        .start()
        .await?;
    ensure!(get(host.address(), "/hello").await?.status == 200);
    Ok(())
}
