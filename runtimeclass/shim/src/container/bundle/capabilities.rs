//! The capabilities of a process that executes no program. The kernel recomputes capabilities at `execve`. A process that
//! serves a component or runs a WASI command calls no `execve`, so it would keep all that libcontainer gave it.

use serde_json::{Value, json};

/// Reduces the capabilities of a process, described as OCI's JSON, to those that it would have after an `execve` of a program
/// without file capabilities. Empties the bounding set and sets `no_new_privs`, so that the process cannot regain any.
///
/// Root keeps its bounding and inheritable sets, any other user the ambient set (capabilities(7), "Transformation of
/// capabilities during execve").
pub(crate) fn reduce_as_by_execve(process: &mut Value) {
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
    fn root_keeps_its_bounding_set_and_others_the_ambient_set() {
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
