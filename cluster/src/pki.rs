//! Certificates, keys, and a kubeconfig for each client of the API. They are created once for a cluster and removed with it.

use crate::network::API_PORT;
use crate::paths::{NODE, pki};
use crate::state::State;
use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The clients of the API: the name of their files, the user, the group.
const CLIENTS: [(&str, &str, Option<&str>); 5] = [
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    ("kubelet-client", "system:node:node", Some("system:nodes")),
    ("administrator", "administrator", Some("system:masters")),
];

/// Creates all of them, unless an earlier `up` has.
pub(crate) fn make(state: &State) -> Result<()> {
    if state.kubeconfig().exists() {
        return Ok(());
    }
    let directory = state.pki();
    let made = || -> Result<()> {
        let addresses = state.network.nodes();
        let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
        let authority = Authority::new(&directory, "ca", "kubernetes")?;
        let names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let api = [
            addresses.as_slice(),
            &[state.network.api_service(), localhost],
        ]
        .concat();
        authority.sign_server("apiserver", "kube-apiserver", &names, &api)?;
        authority.sign_server("kubelet", NODE, &[NODE], &addresses)?;
        authority.sign_server("etcd", "etcd", &["localhost"], &[localhost])?;
        authority.sign_client("etcd-client", "kube-apiserver", None)?;
        authority.sign_client(
            "apiserver-kubelet",
            "kube-apiserver-kubelet",
            Some("system:masters"),
        )?;
        for (name, user, group) in CLIENTS {
            authority.sign_client(name, user, group)?;
        }
        Authority::new(&directory, "front-proxy-ca", "front-proxy")?.sign_client(
            "front-proxy-client",
            "front-proxy-client",
            None,
        )?;
        let accounts = KeyPair::generate()?;
        secret(&directory.join("accounts.key"), &accounts.serialize_pem())?;
        public(&directory.join("accounts.pub"), &accounts.public_key_pem())?;
        for (name, certificate) in [
            ("controller-manager", "controller-manager"),
            ("scheduler", "scheduler"),
            ("proxy", "proxy"),
            ("kubelet", "kubelet-client"),
        ] {
            let text = kubeconfig(state.network.node(), name, &pki(""), certificate);
            secret(&directory.join(format!("{name}.conf")), &text)?;
        }
        Ok(())
    };
    made().with_context(|| format!("cannot create certificates in {}", directory.display()))?;
    // Last, because its existence shows that all others exist.
    let directory = format!("{}/", directory.display());
    let text = kubeconfig(state.network.node(), "visits", &directory, "administrator");
    secret(&state.kubeconfig(), &text)
}

/// A certificate authority.
struct Authority<'a> {
    directory: &'a Path,
    issuer: Issuer<'static, KeyPair>,
}

impl<'a> Authority<'a> {
    fn new(directory: &'a Path, file: &str, name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let paths = Paths::of(directory, file);
        public(&paths.certificate, &certificate.pem())?;
        secret(&paths.key, &key.serialize_pem())?;
        Ok(Self {
            directory,
            issuer: Issuer::new(params, key),
        })
    }

    /// Signs the certificate of a server with these names and addresses.
    fn sign_server(
        &self,
        file: &str,
        name: &str,
        names: &[&str],
        addresses: &[IpAddr],
    ) -> Result<()> {
        let addresses = addresses.iter().map(ToString::to_string);
        let all: Vec<String> = names
            .iter()
            .map(|name| (*name).to_owned())
            .chain(addresses)
            .collect();
        let mut params = CertificateParams::new(all)?;
        params.distinguished_name = distinguished(name, None);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            // etcd connects to itself with its server certificate.
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.sign(file, params)
    }

    /// Signs the certificate of a client, which names its user and group.
    fn sign_client(&self, file: &str, user: &str, group: Option<&str>) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, params)
    }

    fn sign(&self, file: &str, mut params: CertificateParams) -> Result<()> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let paths = Paths::of(self.directory, file);
        public(&paths.certificate, &certificate.pem())?;
        secret(&paths.key, &key.serialize_pem())
    }
}

struct Paths {
    certificate: PathBuf,
    key: PathBuf,
}

impl Paths {
    fn of(directory: &Path, name: &str) -> Self {
        Self {
            certificate: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
        }
    }
}

fn distinguished(user: &str, group: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    if let Some(group) = group {
        name.push(DnType::OrganizationName, group);
    }
    name
}

/// Returns a kubeconfig with the certificate of this name in `directory`, which ends in a slash.
fn kubeconfig(address: IpAddr, context: &str, directory: &str, certificate: &str) -> String {
    let server = SocketAddr::new(address, API_PORT);
    format!(
        "apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: visits
  cluster: {{ server: 'https://{server}', certificate-authority: '{directory}ca.crt' }}
users:
- name: {context}
  user: {{ client-certificate: '{directory}{certificate}.crt', client-key: '{directory}{certificate}.key' }}
contexts:
- name: {context}
  context: {{ cluster: visits, user: {context} }}
"
    )
}

fn public(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file that its owner alone may read.
fn secret(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
