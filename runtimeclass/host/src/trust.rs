//! The certificate authorities that outbound requests trust.
//!
//! By default they are those of Mozilla's list, which is built in. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the list,
//! as with OpenSSL and Go. `--ca-file` adds to either.

use anyhow::{Context, Result, anyhow, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{CertificateResult, load_certs_from_paths};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The sources of certificate authorities.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Authorities {
    /// PEM files of certificates that are trusted in addition.
    pub more: Vec<PathBuf>,
    /// The file that replaces the built-in list (`SSL_CERT_FILE`).
    pub file: Option<PathBuf>,
    /// The directories that replace the built-in list (`SSL_CERT_DIR`).
    pub directories: Vec<PathBuf>,
}

/// The certificate authorities as TLS configuration. The default is the built-in list, which is parsed at first use.
#[derive(Debug, Default)]
pub(crate) struct Trust(OnceLock<Arc<ClientConfig>>);

impl Trust {
    /// Reads the certificate authorities.
    pub(crate) fn read(authorities: &Authorities) -> Result<Self> {
        let replaced = authorities.file.is_some() || !authorities.directories.is_empty();
        if !replaced && authorities.more.is_empty() {
            return Ok(Self::default());
        }
        let mut roots = match replaced {
            true => RootCertStore::empty(),
            false => built_in(),
        };
        if let Some(file) = &authorities.file {
            add(&mut roots, "SSL_CERT_FILE", file, of_file(file))?;
        }
        for directory in &authorities.directories {
            let found = load_certs_from_paths(None, Some(directory));
            add(&mut roots, "SSL_CERT_DIR", directory, found)?;
        }
        for file in &authorities.more {
            add(&mut roots, "--ca-file", file, of_file(file))?;
        }
        let trust = Self::default();
        let _ = trust.0.set(config(roots));
        Ok(trust)
    }

    /// Opens a TLS session over `stream` to the server with this name or address.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = self.0.get_or_init(|| config(built_in())).clone();
        TlsConnector::from(config).connect(name, stream).await
    }
}

fn built_in() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.into(),
    }
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn of_file(file: &Path) -> CertificateResult {
    load_certs_from_paths(Some(file), None)
}

/// Adds the certificates in `found`. Errors name `option` and `path`.
fn add(
    roots: &mut RootCertStore,
    option: &str,
    path: &Path,
    found: CertificateResult,
) -> Result<()> {
    let what = || format!("{option} {}", path.display());
    if let Some(error) = found.errors.into_iter().next() {
        return Err(anyhow!("{error}").context(what()));
    }
    ensure!(
        !found.certs.is_empty(),
        "{}: contains no certificate: give PEM files (-----BEGIN CERTIFICATE-----)",
        what()
    );
    for certificate in found.certs {
        roots
            .add(certificate)
            .context("a certificate in it cannot be used")
            .with_context(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(authorities: &Authorities) -> String {
        let error = Trust::read(authorities).expect_err("it must be refused");
        format!("{error:#}")
    }

    #[test]
    fn a_source_without_certificates_is_refused_by_its_name() -> Result<()> {
        let directory = tempfile::TempDir::new()?;
        let file = directory.path().join("ca.pem");
        for (content, says) in [
            ("", "no certificate"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "no certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "cannot be used",
            ),
        ] {
            std::fs::write(&file, content)?;
            let more = vec![file.clone()];
            let error = error(&Authorities {
                more,
                ..Authorities::default()
            });
            assert!(
                error.starts_with(&format!("--ca-file {}", file.display())),
                "{error}"
            );
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
        let missing = Some(directory.path().join("missing.pem"));
        let missing = error(&Authorities {
            file: missing,
            ..Authorities::default()
        });
        assert!(
            missing.starts_with("SSL_CERT_FILE ") && missing.contains("No such file"),
            "{missing}"
        );
        let empty = vec![directory.path().join("empty")];
        std::fs::create_dir(&empty[0])?;
        let empty = error(&Authorities {
            directories: empty,
            ..Authorities::default()
        });
        assert!(
            empty.starts_with("SSL_CERT_DIR ") && empty.contains("no certificate"),
            "{empty}"
        );
        Ok(())
    }
}
