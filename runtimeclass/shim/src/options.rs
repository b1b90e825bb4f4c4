//! The runtime's options. An administrator writes them under `…runtimes.preopen.options` in containerd's configuration, or
//! in the file that `ctr` gets by `--runtime-config-path`.

use anyhow::{Context, Result, bail};
use containerd_shim_protos::protobuf::CodedInputStream;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use serde::Deserialize;
use std::path::PathBuf;

/// The options, with their names in the configuration. An unknown option is an error.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Whether systemd creates the cgroups, as the kubelet's `cgroupDriver: systemd` requires.
    pub(crate) systemd_cgroup: bool,
    /// The directory of compiled code, for all pods of the node.
    pub(crate) cache_directory: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            systemd_cgroup: false,
            cache_directory: "/var/cache/preopen".into(),
        }
    }
}

/// containerd's message for a runtime whose options it does not know: the text of the options, or the path of a file.
pub(crate) const GENERIC: &str = "runtimeoptions.v1.Options";

/// runc's message. containerd 2.4 sends it to every runtime, for the containers of a pod with a user namespace.
const RUNC: &str = "containerd.runc.v1.Options";

impl Options {
    /// Reads the options in a request to create a task.
    pub(crate) fn of(any: Option<&Any>) -> Result<Self> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Self::default());
        };
        // containerd 1.6 writes a URL, later ones the bare name.
        let kind = any.type_url.rsplit('/').next();
        if kind == Some(RUNC) && names_owners_only(&any.value)? {
            // The shim knows the owners of the streams from the container's specification.
            return Ok(Self::default());
        }
        if kind != Some(GENERIC) {
            bail!(
                "cannot read the runtime's options: their type is {}, not {GENERIC} (is runtime_type in containerd's \
                 configuration {}?)",
                any.type_url,
                crate::RUNTIME
            );
        }
        let (path, body) = generic(&any.value).context("cannot read the runtime's options")?;
        if path.is_empty() {
            return Self::parse(&body)
                .context("cannot read the runtime's options in containerd's configuration");
        }
        let text = std::fs::read_to_string(&path).map_err(anyhow::Error::from);
        text.and_then(|text| Self::parse(&text))
            .with_context(|| format!("cannot read the runtime's options in {path}"))
    }

    fn parse(text: &str) -> Result<Self> {
        let options: Self = toml::from_str(text)?;
        if !options.cache_directory.is_absolute() {
            bail!(
                "CacheDirectory {:?} is not an absolute path",
                options.cache_directory
            );
        }
        Ok(options)
    }
}

/// Returns whether runc's options are those that containerd adds by itself: `io_uid` and `io_gid`.
fn names_owners_only(bytes: &[u8]) -> Result<bool> {
    const IO_UID: u32 = 4;
    const IO_GID: u32 = 5;
    let mut stream = CodedInputStream::from_bytes(bytes);
    while let Some(tag) = stream.read_raw_tag_or_eof()? {
        // Both are numbers, whose type is 0.
        if ![IO_UID << 3, IO_GID << 3].contains(&tag) {
            return Ok(false);
        }
        stream.read_uint32()?;
    }
    Ok(true)
}

/// Reads `config_path` and `config_body` from the message `runtimeoptions.v1.Options`. No maintained crate has this
/// message, and its three text fields are not worth a code generator.
pub(crate) fn generic(bytes: &[u8]) -> Result<(String, String)> {
    const CONFIG_PATH: u32 = 2;
    const CONFIG_BODY: u32 = 3;
    let (mut path, mut body) = (String::new(), String::new());
    let mut stream = CodedInputStream::from_bytes(bytes);
    while let Some(tag) = stream.read_raw_tag_or_eof()? {
        // A tag is the field's number followed by three bits of its type.
        match tag >> 3 {
            CONFIG_PATH => path = stream.read_string()?,
            CONFIG_BODY => body = stream.read_string()?,
            _ => drop(stream.read_string()?),
        }
    }
    Ok((path, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(type_url: &str, fields: &[(u8, &str)]) -> Any {
        let mut any = Any::new();
        any.type_url = type_url.into();
        for (field, text) in fields {
            any.value.extend([field << 3 | 2, text.len() as u8]);
            any.value.extend(text.as_bytes());
        }
        any
    }

    #[test]
    fn options_come_from_containerds_configuration() {
        let body = "SystemdCgroup = true\nCacheDirectory = \"/srv/code\"\n";
        let options = Options::of(Some(&any(GENERIC, &[(1, "some type"), (3, body)])));
        let expected = Options {
            systemd_cgroup: true,
            cache_directory: "/srv/code".into(),
        };
        assert_eq!(options.expect("they are well formed"), expected);
    }

    #[test]
    fn options_come_from_a_file_that_ctr_names() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&file, "SystemdCgroup = true").expect("it can be written");
        let path = file.path().to_str().expect("the path is UTF-8");
        let options = Options::of(Some(&any(GENERIC, &[(2, path)]))).expect("they are well formed");
        assert!(options.systemd_cgroup);
    }

    #[test]
    fn missing_options_have_their_defaults() {
        assert_eq!(
            Options::of(None).expect("nothing is wrong"),
            Options::default()
        );
        let empty = any(GENERIC, &[]);
        assert_eq!(
            Options::of(Some(&empty)).expect("nothing is wrong"),
            Options::default()
        );
    }

    #[test]
    fn runcs_owners_of_streams_mean_the_defaults() {
        let mut owners = any(RUNC, &[]);
        // `io_uid` and `io_gid`, 300 each.
        owners.value = vec![4 << 3, 0xac, 0x02, 5 << 3, 0xac, 0x02];
        let options = Options::of(Some(&owners)).expect("they are well formed");
        assert_eq!(options, Options::default());
        // `systemd_cgroup`
        owners.value.extend([9 << 3, 1]);
        assert!(Options::of(Some(&owners)).is_err());
    }

    #[test]
    fn a_mistake_is_an_error_that_names_it() {
        for (body, named) in [
            ("SystemdCgroups = true", "SystemdCgroups"),
            ("SystemdCgroup = \"yes\"", "SystemdCgroup"),
            ("CacheDirectory = \"here\"", "CacheDirectory"),
        ] {
            let error = Options::of(Some(&any(GENERIC, &[(3, body)]))).expect_err(body);
            assert!(format!("{error:#}").contains(named), "{error:#}");
        }
        // `binary_name`
        assert!(Options::of(Some(&any(RUNC, &[(6, "runc")]))).is_err());
        let torn = Any {
            value: vec![26, 9, b'x'],
            ..any(GENERIC, &[])
        };
        assert!(Options::of(Some(&torn)).is_err(), "a torn message");
    }
}
