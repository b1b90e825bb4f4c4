//! The runtime's features as OCI's feature structure. containerd 2 requests it with `-info` and passes it on. kubelet and
//! crictl learn from it, for example, whether a volume can be read-only with all mounts in it.
//!
//! <https://github.com/opencontainers/runtime-spec/blob/main/features.md>

use containerd_shim::protos::protobuf::well_known_types::any::Any;
use serde_json::{Value, json};

/// The name of the structure among containerd's types. Its encoding is JSON.
const TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// The mount options that libcontainer acts on, and the shim: `idmap` and `ridmap`. libcontainer passes other options to the
/// file system.
const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnosuid",
    "ro",
    "rprivate",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rsuid",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "sync",
];

/// The actions of a system call filter that libcontainer supports.
const SECCOMP_ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// Returns the features in containerd's envelope, for a runtime with or without options in containerd's configuration.
///
/// If the runtime has options, user namespaces are not reported. containerd 2.4 then cannot start the containers of such
/// a pod, because it adds the owners of their streams to options of runc's type only (`getRuncOptions` in `client/task.go`).
pub(crate) fn any(has_options: bool) -> Any {
    Any {
        type_url: TYPE.into(),
        value: features(!has_options).to_string().into_bytes(),
        ..Any::default()
    }
}

/// Returns the features. Kubernetes takes id-mapped mounts as support of user namespaces.
fn features(id_mapped_mounts: bool) -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        ],
        "mountOptions": MOUNT_OPTIONS,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "cgroup": {
                "v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": false,
            },
            "seccomp": {
                "enabled": true,
                "actions": SECCOMP_ACTIONS,
            },
            "mountExtensions": { "idmap": { "enabled": id_mapped_mounts } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_what_oci_defines() {
        let features: libcontainer::oci_spec::runtime::Features =
            serde_json::from_value(features(true)).expect("the structure is OCI's");
        let options = features.mount_options().as_ref().expect("mount options");
        assert!(options.contains(&"rro".to_owned()));
        assert!(options.is_sorted(), "{options:?}");
    }
}
