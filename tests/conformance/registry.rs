//! A registry that stands for all others. The node resolves their names to the loopback interface and trusts the registry's
//! certificate, so suites pull the images that are built here under their usual names.

use crate::{config, images};
use anyhow::{Context, Result};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use visits_support::command;
use visits_support::wait;

/// The registries that it stands for.
const NAMES: [&str; 4] = ["gcr.io", "ghcr.io", "k8s.gcr.io", "registry.k8s.io"];

/// The registry's address. Clients choose the port.
const ADDRESS: &str = "127.0.0.1:443";

/// The variable with the file of trusted certificates, for programs in Go.
pub(crate) const TRUSTED: &str = "SSL_CERT_FILE";

/// The time that the registry may take to start.
const START: Duration = Duration::from_secs(30);

/// Returns the lines of `/etc/hosts` that lead to the registry.
pub(crate) fn hosts() -> String {
    let lines = NAMES.map(|name| format!("127.0.0.1 {name}\n"));
    format!("127.0.0.1 localhost\n{}", lines.concat())
}

/// Starts the registry and waits until it accepts connections.
pub(crate) fn start(programs: &Path) -> Result<Child> {
    let certified = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned))
        .context("cannot create a certificate")?;
    let certificate = config::certificate();
    let key = certificate.with_file_name("key.pem");
    let file = certificate.with_file_name("registry.yaml");
    config::write(&certificate, &certified.cert.pem())?;
    config::write(&key, &certified.signing_key.serialize_pem())?;
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\nhttp:\n  addr: {ADDRESS}\n  tls:\n    certificate: {}\n    key: {}\n",
        certificate.display(),
        key.display()
    );
    config::write(&file, &text)?;
    let child = Command::new(programs.join("registry"))
        .arg("serve")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the registry")?;
    wait::retry("the registry accepts connections", START, || {
        Ok(TcpStream::connect(ADDRESS).map(Some)?)
    })?;
    Ok(child)
}

/// Builds an image, given as `KIND=NAME`, and pushes it.
pub(crate) fn push(programs: &Path, image: &str) -> Result<()> {
    let (kind, name) = image
        .split_once('=')
        .with_context(|| format!("{image}: not KIND=NAME"))?;
    let directory = tempfile::tempdir().context("cannot create a temporary directory")?;
    let layout = directory.path().join("layout");
    images::write(kind, name, programs, &layout)?;
    let mut push = Command::new(programs.join("crane"));
    push.args(["push", "--index"])
        .arg(&layout)
        .arg(name)
        .env(TRUSTED, config::certificate());
    command::run(push).map(drop)
}
