//! Assertions about the shim's parsers. The included modules import each other from their parent module.

#[allow(dead_code, reason = "the fuzzed modules are part of another crate")]
#[path = "../../../runtimeclass/shim/src/container/bundle/capabilities.rs"]
mod capabilities;
#[allow(dead_code, reason = "the fuzzed modules are part of another crate")]
#[path = "../../../runtimeclass/shim/src/container/bundle/home.rs"]
mod home;
#[allow(dead_code, reason = "the fuzzed modules are part of another crate")]
#[path = "../../../runtimeclass/shim/src/container/bundle/rewrite.rs"]
mod rewrite;
#[allow(dead_code, reason = "the fuzzed modules are part of another crate")]
#[path = "../../../runtimeclass/shim/src/container/bundle/rootfs.rs"]
mod rootfs;

use oci_spec::runtime::{Process, Spec};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

/// Creates a root directory with this /etc/passwd.
fn image(users: &[u8]) -> TempDir {
    let image = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(image.path().join("etc")).expect("it can be made");
    write_users(&image, users);
    image
}

fn write_users(image: &TempDir, users: &[u8]) {
    std::fs::write(image.path().join("etc/passwd"), users).expect("it can be written");
}

fn root(image: &TempDir) -> File {
    File::open(image.path()).expect("it is there")
}

/// An image with three users: one with a home, one with an empty home, and one whose line is too short.
static IMAGE: LazyLock<TempDir> =
    LazyLock::new(|| image(b"root:x:0:0:root:/root:/bin/sh\nempty:x:8:8:::\nshort:x:9\n"));

/// Rewrites the description of an exec's process. Returns whether it was an object.
///
/// A second rewrite changes nothing. An object has every set of capabilities, and libcontainer finds a HOME. What libcontainer
/// could read before, it can read afterwards.
pub fn process(data: &[u8]) -> bool {
    let Ok(mut process) = serde_json::from_slice::<Value>(data) else {
        return false;
    };
    let was_readable = serde_json::from_slice::<Process>(data).is_ok();
    let root = root(&IMAGE);
    rewrite::process(&mut process, &root);
    assert_plain(&process);
    let read = serde_json::from_value::<Process>(process.clone());
    assert!(!was_readable || read.is_ok(), "libcontainer: {read:?}");
    let once = process.clone();
    rewrite::process(&mut process, &root);
    assert_eq!(process, once, "a second rewrite changes something");
    capabilities::reduce_as_by_execve(&mut process);
    if process.is_object() {
        for set in ["bounding", "inheritable", "ambient"] {
            assert_eq!(
                process["capabilities"][set],
                json!([]),
                "{set} is not empty"
            );
        }
        assert_eq!(process["noNewPrivileges"], json!(true));
    }
    process.is_object()
}

fn assert_plain(process: &Value) {
    if !process.is_object() {
        return;
    }
    for set in [
        "bounding",
        "effective",
        "inheritable",
        "permitted",
        "ambient",
    ] {
        let set = &process["capabilities"][set];
        assert!(!set.is_null(), "a set of capabilities is missing");
    }
    let Some(variables) = texts(&process["env"]) else {
        return;
    };
    let home = as_libcontainer_reads(&variables).remove("HOME");
    assert!(
        home.is_some_and(|home| !home.is_empty()),
        "libcontainer would look up the home in the container: {variables:?}"
    );
}

/// Returns a list of strings. libcontainer refuses every other list.
fn texts(list: &Value) -> Option<Vec<&str>> {
    list.as_array()?.iter().map(Value::as_str).collect()
}

/// Splits variables as libcontainer does. The last variable with a name counts, and one without `=` is empty.
fn as_libcontainer_reads(variables: &[&str]) -> HashMap<String, String> {
    let split = |variable: &&str| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        (name.to_owned(), value.to_owned())
    };
    variables.iter().map(split).collect()
}

/// Rewrites a bundle's config.json. Returns whether it was a specification.
///
/// The result is JSON, and its process fulfils the assertions of [`process`]. A second rewrite changes nothing. What
/// libcontainer could read before, it can read afterwards.
pub fn config(data: &[u8]) -> bool {
    // containerd writes objects. Specifications have no fractions, whose last digit may change when they are read.
    let is_specification = |spec: &Value| spec.is_object() && !has_fractions(spec);
    if !serde_json::from_slice(data).is_ok_and(|spec| is_specification(&spec)) {
        return false;
    }
    let bundle = tempfile::tempdir().expect("a temporary directory");
    let path = bundle.path().join("config.json");
    std::fs::write(&path, data).expect("it can be written");
    let plain = |path: &Path| {
        rewrite::config(path, &root(&IMAGE)).expect("an object can be rewritten");
        std::fs::read(path).expect("it can be read")
    };
    let once = plain(&path);
    let spec: Value = serde_json::from_slice(&once).expect("the result is JSON");
    assert_plain(&spec["process"]);
    let was_readable = serde_json::from_slice::<Spec>(data).is_ok();
    let read = serde_json::from_value::<Spec>(spec);
    assert!(!was_readable || read.is_ok(), "libcontainer: {read:?}");
    assert_eq!(plain(&path), once, "a second rewrite changes something");
    true
}

fn has_fractions(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fractions),
        Value::Object(fields) => fields.values().any(has_fractions),
        _ => false,
    }
}

/// Looks up the home of a user. The first byte is the user, the rest the image's /etc/passwd. Returns whether the file
/// has the user's home.
///
/// The process has one HOME: `/`, or the sixth field of a line of the file.
pub fn users(data: &[u8]) -> bool {
    let Some((user, users)) = data.split_first() else {
        return false;
    };
    thread_local! {
        static OWN: TempDir = image(b"");
    }
    let mut process = json!({ "user": { "uid": user } });
    OWN.with(|image| {
        write_users(image, users);
        home::give(&mut process, root(image));
    });
    let variables = texts(&process["env"]).expect("variables are texts");
    let [variable] = variables.as_slice() else {
        panic!("{variables:?} is not one variable");
    };
    let home = variable.strip_prefix("HOME=").expect("a HOME");
    let text = String::from_utf8_lossy(users);
    let has_home = |line: &str| line.split(':').nth(5) == Some(home);
    assert!(!home.is_empty() && !home.contains([':', '\n']), "{home:?}");
    let found = text.lines().any(has_home);
    assert!(home == "/" || found, "{home:?}");
    found
}
