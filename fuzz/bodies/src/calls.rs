//! Assertions about what containerd and the shim's server send: the runtime's options, and the messages to a helper.

#[allow(dead_code, reason = "a part of another crate")]
#[path = "../../../runtimeclass/shim/src/options.rs"]
mod options;

use crate::request::HelperRequest;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use std::path::{Component, Path};

/// Reads a message as the runtime's options, and as runc's. Returns whether one of both was accepted.
///
/// Accepted options name an absolute directory, and a cgroup only below the root. Refused ones have a reason.
pub fn options(data: &[u8]) -> bool {
    let accepts = |kind: &str| {
        let mut any = Any::new();
        any.type_url = kind.into();
        any.value = data.to_vec();
        match options::Options::of(Some(&any)) {
            Ok(options) => {
                assert!(options.cache_directory.is_absolute(), "{options:?}");
                let cgroup = options.shim_cgroup.as_deref();
                let below = |path: &Path| {
                    let mut parts = path.components();
                    path.parent().is_some_and(Path::has_root)
                        && parts.all(|part| part != Component::ParentDir)
                };
                assert!(cgroup.is_none_or(below), "{options:?}");
                true
            }
            Err(error) => {
                assert!(!format!("{error:#}").is_empty());
                false
            }
        }
    };
    // A file that the message names would be read, whatever it is.
    let names_file = options::generic(data).is_ok_and(|(path, _)| !path.is_empty());
    let generic = !names_file && accepts(options::GENERIC);
    accepts(options::RUNC) || generic
}

/// Reads a message to a helper. Returns whether it was accepted.
///
/// What the helper reads is what the server wrote. The files of a container are below its bundle.
pub fn request(data: &[u8]) -> bool {
    let Ok(request) = serde_json::from_slice::<HelperRequest>(data) else {
        return false;
    };
    let written = serde_json::to_string(&request).expect("a message can be written");
    let read: HelperRequest =
        serde_json::from_str(&written).expect("a written message can be read");
    let again = serde_json::to_string(&read).expect("a message can be written");
    assert_eq!(written, again);
    let location = match &request {
        HelperRequest::Create(create) => &create.location,
        HelperRequest::Exec(exec) => &exec.location,
        HelperRequest::Update(update) => &update.location,
        HelperRequest::Start(location) | HelperRequest::Delete(location) => location,
    };
    assert_eq!(request.name().1, location.id);
    for file in [
        location.config(),
        location.rootfs(),
        location.memory_limit(),
        location.console(),
        location.create_lock(),
    ] {
        assert!(file.starts_with(&location.bundle), "{file:?}");
    }
    true
}
