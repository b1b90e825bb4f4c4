//! The client against an API of its own, over TLS on loopback.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread::{JoinHandle, spawn};
use std::time::Instant;
use tempfile::TempDir;

/// A deadline that no step of these tests reaches, except where nothing answers.
const PATIENT: Duration = Duration::from_secs(10);

/// A certificate authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns the TLS configuration of a server on loopback whose certificate this authority has signed.
    fn server(&self) -> Arc<ServerConfig> {
        let names = ["127.0.0.1".to_owned(), "::1".to_owned()];
        let params = CertificateParams::new(names).expect("two addresses");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate");
        Arc::new(config)
    }

    /// Returns a directory like the one that kubelet makes for the service account.
    fn account(&self) -> TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("ca.crt"), &self.pem).expect("a file");
        std::fs::write(directory.path().join("token"), "first\n").expect("a file");
        directory
    }
}

/// Serves these responses, one a connection, and returns the requests.
fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    responses: Vec<Vec<u8>>,
) -> JoinHandle<Vec<String>> {
    spawn(move || {
        let serve = |response: Vec<u8>| {
            let (stream, _) = listener.accept().expect("a connection");
            let connection = ServerConnection::new(Arc::clone(&tls)).expect("a session");
            let mut stream = StreamOwned::new(connection, stream);
            let request = read_request(&mut stream);
            // A client that has read enough closes the connection.
            let _ = stream.write_all(&response);
            stream.conn.send_close_notify();
            let _ = stream.flush();
            request
        };
        responses.into_iter().map(serve).collect()
    })
}

/// Returns the head of a request and its body; of a client that refuses the certificate, nothing.
fn read_request(stream: &mut impl Read) -> String {
    let mut request = String::new();
    let mut piece = [0; 4096];
    loop {
        let whole = request.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let head = head.to_lowercase();
            let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
                let digits = rest.lines().next().unwrap_or_default();
                digits.parse().expect("a number")
            });
            body.len() == length
        });
        if whole {
            return request;
        }
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => request.push_str(&String::from_utf8_lossy(&piece[..read])),
            _ => return request,
        }
    }
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn loopback() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// Sends one GET to a server with this response; the result, and the server's requests.
fn get(reply: Vec<u8>) -> (Result<Value>, Vec<String>) {
    let authority = Authority::new();
    let account = authority.account();
    let (listener, port) = loopback();
    let server = serve(listener, authority.server(), vec![reply]);
    let api = Api::new("127.0.0.1", port, account.path(), PATIENT).expect("a client");
    let result = api.get("/api/v1/nodes/node");
    (result, server.join().expect("it has served"))
}

#[test]
fn a_response_is_its_object() {
    let (object, requests) = get(response("200 OK", "{\"kind\":\"Node\"}"));
    assert_eq!(object.expect("it is whole")["kind"], "Node");
    let request = requests[0].to_lowercase();
    assert!(
        request.starts_with("get /api/v1/nodes/node http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("\r\naccept: application/json\r\n"),
        "{request}"
    );
}

#[test]
fn a_refusal_is_an_error_with_the_reason_that_the_api_gives() {
    let (object, _) = get(response(
        "403 Forbidden",
        "{\"message\":\"nodes is forbidden\"}",
    ));
    let error = object.expect_err("403");
    let refusal = error
        .downcast_ref::<Refusal>()
        .expect("it is told from others");
    assert_eq!(refusal.to_string(), "403: nodes is forbidden");
    assert!(error.to_string().starts_with("GET https://127.0.0.1:"));
}

#[test]
fn a_redirect_is_a_refusal_and_not_followed() {
    let moved =
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let (object, _) = get(moved.to_vec());
    let error = object.expect_err("307");
    let refusal = error.downcast_ref::<Refusal>().expect("a refusal");
    assert_eq!(refusal.status, 307);
}

#[test]
fn a_response_that_is_cut_off_is_an_error() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":\"Node\"}";
    for cut in [cut, "HTTP/1.1 200 OK\r\n\r\n{\"kind\":", "HTTP/1.1 200"] {
        let (object, _) = get(cut.into());
        object.expect_err(cut);
    }
}

#[test]
fn a_response_that_does_not_end_is_an_error() {
    let body = format!("\"{}\"", "x".repeat(MAX_RESPONSE as usize));
    let (object, _) = get(response("200 OK", &body));
    let error = format!("{:#}", object.expect_err("it is too large"));
    assert!(error.contains("limit"), "{error}");
}

#[test]
fn each_request_bears_the_token_of_that_moment() {
    let authority = Authority::new();
    let account = authority.account();
    let (listener, port) = loopback();
    let replies = vec![response("200 OK", "{}"); 2];
    let server = serve(listener, authority.server(), replies);
    let api = Api::new("127.0.0.1", port, account.path(), PATIENT).expect("a client");
    api.get("/one").expect("served");
    std::fs::write(account.path().join("token"), "second").expect("a file");
    let patch = json!({ "metadata": { "labels": { "a": null } } });
    api.patch("/two?dryRun=All", &patch).expect("served");
    let requests = server.join().expect("it has served");
    let first = requests[0].to_lowercase();
    let second = requests[1].to_lowercase();
    assert!(
        first.contains("\r\nauthorization: bearer first\r\n"),
        "{first}"
    );
    assert!(
        second.contains("\r\nauthorization: bearer second\r\n"),
        "{second}"
    );
    assert!(
        second.starts_with("patch /two?dryrun=all http/1.1\r\n"),
        "{second}"
    );
    assert!(
        second.contains("\r\ncontent-type: application/merge-patch+json\r\n"),
        "{second}"
    );
    let (_, body) = requests[1].split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, patch.to_string());
}

#[test]
fn a_server_that_another_authority_has_signed_gets_no_token() {
    let account = Authority::new().account();
    let (listener, port) = loopback();
    let replies = vec![response("200 OK", "{}")];
    let server = serve(listener, Authority::new().server(), replies);
    let api = Api::new("127.0.0.1", port, account.path(), PATIENT).expect("a client");
    let error = format!("{:#}", api.get("/").expect_err("it is a stranger"));
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(server.join().expect("it has ended"), [""]);
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let account = Authority::new().account();
    let (listener, port) = loopback();
    let timeout = Duration::from_millis(200);
    let api = Api::new("127.0.0.1", port, account.path(), timeout).expect("a client");
    let start = Instant::now();
    let error = format!("{:#}", api.get("/").expect_err("nobody answers"));
    assert!(error.contains("timeout"), "{error}");
    assert!(start.elapsed() < PATIENT);
    drop(listener);
}

#[test]
fn an_api_with_an_ipv6_address_is_called_like_any_other() {
    // The kernel may lack IPv6.
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        assert_eq!(authority("::1", 443), "[::1]:443");
        return;
    };
    let port = listener.local_addr().expect("an address").port();
    let authority = Authority::new();
    let account = authority.account();
    let replies = vec![response("200 OK", "{}")];
    let server = serve(listener, authority.server(), replies);
    let api = Api::new("::1", port, account.path(), PATIENT).expect("a client");
    api.get("/").expect("served");
    let requests = server.join().expect("it has served");
    let host = format!("\r\nhost: [::1]:{port}\r\n");
    assert!(requests[0].to_lowercase().contains(&host), "{requests:?}");
}

#[test]
fn a_file_without_a_certificate_is_an_error_that_names_it() {
    let account = Authority::new().account();
    std::fs::write(account.path().join("ca.crt"), "").expect("a file");
    let error = Api::new("127.0.0.1", 443, account.path(), PATIENT)
        .err()
        .expect("no authority");
    assert!(error.to_string().contains("ca.crt"), "{error}");
}
