//! What executing a program takes from a process. The kernel recomputes capabilities at `execve`; a process that serves
//! a component or runs a WASI command executes nothing, and would keep what libcontainer gave it.

use serde_json::{Value, json};

/// Leaves a process, described as OCI's JSON, the capabilities that it would have after executing a program without file
/// capabilities, and no way to others: no bounding set, and `no_new_privs`.
///
/// Root keeps what it may have, any other user the ambient set (capabilities(7), "Transformation of capabilities during
/// execve").
pub(super) fn reduce_as_by_execve(process: &mut Value) {
    let sets = &process["capabilities"];
    let kept = match process["user"]["uid"].as_u64() {
        None | Some(0) => union(&sets["bounding"], &sets["inheritable"]),
        Some(_) => union(&sets["ambient"], &Value::Null),
    };
    let Some(process) = process.as_object_mut() else {
        return;
    };
    let sets = json!({
        "bounding": [], "inheritable": [], "ambient": [], "effective": kept, "permitted": kept,
    });
    process.insert("capabilities".into(), sets);
    process.insert("noNewPrivileges".into(), Value::Bool(true));
}

fn union(one: &Value, other: &Value) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for name in [one, other]
        .into_iter()
        .filter_map(Value::as_array)
        .flatten()
    {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    Value::Array(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keeps_what_it_may_have_and_others_what_is_ambient() {
        for (user, expected) in [
            (0, json!(["CAP_CHOWN", "CAP_MKNOD", "CAP_KILL"])),
            (1000, json!(["CAP_NET_RAW"])),
        ] {
            let mut process = json!({
                "user": { "uid": user },
                "capabilities": {
                    "bounding": ["CAP_CHOWN", "CAP_MKNOD"],
                    "effective": ["CAP_CHOWN"],
                    "permitted": ["CAP_CHOWN", "CAP_SYS_TIME"],
                    "inheritable": ["CAP_KILL", "CAP_CHOWN"],
                    "ambient": ["CAP_NET_RAW"],
                },
            });
            reduce_as_by_execve(&mut process);
            assert_eq!(process["noNewPrivileges"], json!(true));
            let sets = &process["capabilities"];
            for name in ["effective", "permitted"] {
                assert_eq!(sets[name], expected, "{name} of {user}");
            }
            for name in ["bounding", "inheritable", "ambient"] {
                assert_eq!(sets[name], json!([]), "{name} of {user}");
            }
        }
    }
}
