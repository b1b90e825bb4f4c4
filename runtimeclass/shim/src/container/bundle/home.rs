//! The home directory of a process's user, read from the image's `/etc/passwd` on the node before any code of the container
//! runs.
//!
//! If the environment has no HOME, libcontainer looks it up with the C library. In the container's root that reads the
//! image's `/etc/nsswitch.conf` and loads the libraries that it names: code of the image would run before the process is
//! isolated. So the shim gives every process a HOME (docs/upstream/home-nss.md).

use super::rootfs;
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::path::Path;

/// The maximum number of bytes of `/etc/passwd`. In a larger file no user is found.
const MAX_USERS: u64 = 1 << 20;

/// The home of a user that the image does not list.
const DEFAULT_HOME: &str = "/";

/// Sets HOME in a process's environment if it is missing or empty, as runc does.
pub(crate) fn give(process: &mut Value, root: impl AsFd) {
    let user = process["user"]["uid"].as_u64().unwrap_or(0);
    let Some(process) = process.as_object_mut() else {
        return;
    };
    let variables = process.entry("env").or_insert(Value::Null);
    if !variables.is_array() {
        *variables = json!([]);
    }
    let Some(variables) = variables.as_array_mut() else {
        return;
    };
    // libcontainer reads a variable without `=` as empty.
    let home = |variable: &Value| {
        let text = variable.as_str()?;
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name == "HOME").then(|| value.to_owned())
    };
    // The last HOME counts.
    let given = variables.iter().rev().find_map(home);
    if given.is_some_and(|home| !home.is_empty()) {
        return;
    }
    variables.retain(|variable| home(variable).is_none());
    let users = rootfs::read(root, Path::new("/etc/passwd"), MAX_USERS).unwrap_or_default();
    let home =
        of(user, &String::from_utf8_lossy(&users)).unwrap_or_else(|| DEFAULT_HOME.to_owned());
    variables.push(json!(format!("HOME={home}")));
}

/// Returns the sixth field of the first line whose third field is the user.
fn of(user: u64, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let same = fields.get(2)?.parse() == Ok(user);
        let home = fields.get(5).filter(|home| !home.is_empty())?;
        same.then(|| (*home).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nshort:x:7\nempty:x:8:8:::\n\
                         web:x:1000:1000::/srv/web:\nlater:x:1000:1000::/other:\n";

    fn environment(env: Value, uid: u64) -> Value {
        let image = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(image.path().join("etc")).expect("it can be created");
        std::fs::write(image.path().join("etc/passwd"), USERS).expect("it can be written");
        let root = File::open(image.path()).expect("it is there");
        let mut process = json!({"user": {"uid": uid}, "env": env});
        give(&mut process, &root);
        let once = process.clone();
        give(&mut process, &root);
        assert_eq!(process, once, "a second time changes nothing");
        process["env"].clone()
    }

    #[test]
    fn the_home_is_the_users_unless_it_is_given() {
        assert_eq!(environment(json!(null), 1000), json!(["HOME=/srv/web"]));
        assert_eq!(
            environment(json!(["HOME=", "A=1"]), 0),
            json!(["A=1", "HOME=/root"])
        );
        assert_eq!(
            environment(json!(["HOME=/given"]), 1000),
            json!(["HOME=/given"])
        );
        assert_eq!(
            environment(json!(["HOME=/given", "HOME"]), 0),
            json!(["HOME=/root"])
        );
        for unknown in [7, 8, 4242] {
            assert_eq!(environment(json!([]), unknown), json!(["HOME=/"]));
        }
    }

    #[test]
    fn without_a_list_of_users_the_home_is_the_root() {
        let image = tempfile::tempdir().expect("a temporary directory");
        let root = File::open(image.path()).expect("it is there");
        let mut process = json!({"user": {"uid": 0}});
        give(&mut process, &root);
        assert_eq!(process["env"], json!(["HOME=/"]));
    }
}
