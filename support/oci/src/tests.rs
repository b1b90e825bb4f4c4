//! Written images, read again as a registry or containerd reads them: every digest and size is checked, and the layer
//! unpacked.

mod layout;
mod refusals;

use crate::blob::sha256;
use crate::{Image, SourceDate};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

const NAME: &str = "localhost/sample:1.2.3";

/// Returns an image that uses every property.
fn sample() -> Image {
    Image::new(NAME)
        .file("/app/spin.toml", "spin_manifest_version = 2\n", 0o644)
        .file("/app/deep/er/hello.wasm", vec![0; 5000], 0o640)
        .owned_file("/app/secret", "x", 1000, 1001, 0o4600)
        .directory("/app/data", 65532, 65532, 0o750)
        .entrypoint(["/app/spin.toml"])
        .arguments(["--log-format", "json"])
        .working_directory("/app")
        .user("65532:65532")
        .env("SPIN_HTTP_LISTEN_ADDR", "0.0.0.0:5000")
        .env("A", "b=c")
        .exposed_port("5000/tcp")
        .exposed_port("9000/udp")
        .annotation("org.opencontainers.image.title", "sample")
        .annotation("org.opencontainers.image.licenses", "Apache-2.0")
        .annotation("org.opencontainers.image.version", "1.2.3")
}

fn date(text: &str) -> SourceDate {
    SourceDate::parse(OsStr::new(text)).expect("a number of seconds")
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The regular files of a directory or a tar archive, by their relative names.
type Files = BTreeMap<String, Vec<u8>>;

fn read_directory(top: &Path) -> Files {
    fn walk(top: &Path, directory: &Path, files: &mut Files) {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(top, &path, files);
                continue;
            }
            let name = path.strip_prefix(top).expect("it lies below the top");
            let name = name.to_str().expect("a name in UTF-8").to_owned();
            files.insert(name, std::fs::read(path).expect("a readable file"));
        }
    }
    let mut files = Files::new();
    walk(top, top, &mut files);
    files
}

fn read_tar(bytes: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(bytes).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().expect("a path");
        let path = path.to_str().expect("a path in UTF-8").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("the whole entry");
        assert!(files.insert(path, bytes).is_none(), "no name twice");
    }
    files
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes).digest())
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(bytes)
        .read_to_end(&mut tar)
        .expect("a whole gzip");
    tar
}

/// Returns the blob of a descriptor, after checking its digest and size.
fn blob<'a>(files: &'a Files, descriptor: &Value) -> &'a [u8] {
    let named = text(&descriptor["digest"]);
    let name = format!("blobs/{}", named.replace(':', "/"));
    let bytes = files
        .get(&name)
        .unwrap_or_else(|| panic!("{name} is there"));
    assert_eq!(digest(bytes), named);
    assert_eq!(descriptor["size"], bytes.len());
    bytes
}
