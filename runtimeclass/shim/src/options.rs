//! The runtime's options. An administrator writes them under `…runtimes.preopen.options` in containerd's configuration, or
//! in the file that `ctr` gets by `--runtime-config-path`.

use anyhow::{Context, Result, bail, ensure};
use containerd_shim_protos::protobuf::CodedInputStream;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use serde::Deserialize;
use std::path::{Component, PathBuf};

/// The options, with their names in the configuration. An unknown option is an error.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Whether systemd creates the cgroups, as the kubelet's `cgroupDriver: systemd` requires.
    pub(crate) systemd_cgroup: bool,
    /// The directory of compiled code, for all pods of the node.
    pub(crate) cache_directory: PathBuf,
    /// The cgroup of the servers, which must exist: a path below the root of each hierarchy, such as `/shims`. By default a
    /// server stays in the cgroup of containerd.
    pub(crate) shim_cgroup: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            systemd_cgroup: false,
            cache_directory: "/var/cache/preopen".into(),
            shim_cgroup: None,
        }
    }
}

/// containerd's message for a runtime whose options it does not know: the text of the options, or the path of a file.
pub(crate) const GENERIC: &str = "runtimeoptions.v1.Options";

/// runc's message. containerd 2.4 sends it to every runtime, for the containers of a pod with a user namespace. A client of
/// containerd may name the servers' cgroup in it.
pub(crate) const RUNC: &str = "containerd.runc.v1.Options";

impl Options {
    /// Reads the options in a request to create a task.
    pub(crate) fn of(any: Option<&Any>) -> Result<Self> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Self::default());
        };
        // containerd 1.6 writes a URL, later ones the bare name.
        let kind = any.type_url.rsplit('/').next();
        if kind == Some(RUNC) {
            return Self::runc(&any.value).context("cannot read runc's options");
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
        options.checked()
    }

    fn checked(self) -> Result<Self> {
        if let Some(cgroup) = &self.shim_cgroup {
            let mut parts = cgroup.components();
            ensure!(
                parts.next() == Some(Component::RootDir)
                    && matches!(parts.next(), Some(Component::Normal(_)))
                    && parts.all(|part| matches!(part, Component::Normal(_))),
                "ShimCgroup {cgroup:?} is not an absolute path of a cgroup below the root"
            );
        }
        Ok(self)
    }

    /// Reads runc's options: the servers' cgroup, and the owners of the streams, which the shim knows from the container's
    /// specification. Others are refused.
    fn runc(bytes: &[u8]) -> Result<Self> {
        const SHIM_CGROUP: u32 = 3;
        const IO_UID: u32 = 4;
        const IO_GID: u32 = 5;
        let mut options = Self::default();
        let mut stream = CodedInputStream::from_bytes(bytes);
        while let Some(tag) = stream.read_raw_tag_or_eof()? {
            match tag >> 3 {
                SHIM_CGROUP => options.shim_cgroup = Some(stream.read_string()?.into()),
                IO_UID | IO_GID => drop(stream.read_uint32()?),
                field => bail!(
                    "the runtime {} does not support the option with the number {field}",
                    crate::RUNTIME
                ),
            }
        }
        options.checked()
    }
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
        let body =
            "SystemdCgroup = true\nCacheDirectory = \"/srv/code\"\nShimCgroup = \"/shims\"\n";
        let options = Options::of(Some(&any(GENERIC, &[(1, "some type"), (3, body)])));
        let expected = Options {
            systemd_cgroup: true,
            cache_directory: "/srv/code".into(),
            shim_cgroup: Some("/shims".into()),
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
    fn runcs_options_name_owners_of_streams_and_a_cgroup() {
        let mut runc = any(RUNC, &[]);
        // `io_uid` and `io_gid`, 300 each.
        runc.value = vec![4 << 3, 0xac, 0x02, 5 << 3, 0xac, 0x02];
        let options = Options::of(Some(&runc)).expect("they are well formed");
        assert_eq!(options, Options::default());
        let cgroup = Options::of(Some(&any(RUNC, &[(3, "/shims")])));
        let cgroup = cgroup.expect("they are well formed").shim_cgroup;
        assert_eq!(cgroup, Some("/shims".into()));
        // `systemd_cgroup`
        runc.value.extend([9 << 3, 1]);
        let error = Options::of(Some(&runc)).expect_err("not supported");
        assert!(format!("{error:#}").contains("the number 9"), "{error:#}");
    }

    #[test]
    fn a_mistake_is_an_error_that_names_it() {
        for (body, named) in [
            ("SystemdCgroups = true", "SystemdCgroups"),
            ("SystemdCgroup = \"yes\"", "SystemdCgroup"),
            ("CacheDirectory = \"here\"", "CacheDirectory"),
            ("ShimCgroup = \"shims\"", "ShimCgroup"),
            ("ShimCgroup = \"/\"", "ShimCgroup"),
            ("ShimCgroup = \"/shims/../..\"", "ShimCgroup"),
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
