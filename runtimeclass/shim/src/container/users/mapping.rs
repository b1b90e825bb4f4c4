//! The ids of a container's users on the node, and the refusal of mappings that this runtime does not support.
//!
//! Kubernetes gives each pod one range of ids from 0 on, and maps the pod's volumes and images by the same range. Other
//! clients of containerd may map several ranges. The kernel refuses ranges that overlap on the node.

use anyhow::{Context, Result, bail, ensure};
use libcontainer::oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Process, Spec};
use std::fmt;

/// The words that begin the refusals of a mapping.
const REFUSED: &str = "cannot map the users of the container";

/// Consecutive ids in a user namespace, and their ids on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    /// The first id in the namespace.
    container: u32,
    /// Its id on the node.
    host: u32,
    /// The number of ids.
    size: u32,
}

impl Range {
    /// Parses the text of a mount option: the id in the container, the id on the node, the number of ids.
    fn parse(text: &str) -> Result<Self> {
        let numbers = text.split(':').map(str::parse);
        let numbers: Vec<u32> = numbers.collect::<Result<_, _>>()?;
        let [container, host, size] = numbers[..] else {
            bail!("{text} is not one mapping of ids");
        };
        Ok(Self {
            container,
            host,
            size,
        })
    }

    fn is_valid(self) -> bool {
        let ends = |first: u32| first.checked_add(self.size).is_some();
        self.size > 0 && ends(self.container) && ends(self.host)
    }
}

/// The ranges of a user namespace's users, or of its groups, in the order of the ids in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    fn new(mut ranges: Vec<Range>) -> Result<Self> {
        ranges.sort_unstable();
        let ranges = Self(ranges);
        let ordered = |pair: &[Range]| pair[1].container - pair[0].container >= pair[0].size;
        ensure!(
            ranges.0.iter().all(|range| range.is_valid()) && ranges.0.windows(2).all(ordered),
            "{REFUSED} by {ranges}: a range is empty, too large or overlaps another one"
        );
        ensure!(
            ranges.to_host(0).is_some(),
            "{REFUSED} by {ranges}: the mapping lacks the container's root"
        );
        Ok(ranges)
    }

    fn of(mappings: Option<&[LinuxIdMapping]>) -> Result<Self> {
        let ranges = mappings.unwrap_or_default().iter();
        let ranges = ranges.map(|mapping| Range {
            container: mapping.container_id(),
            host: mapping.host_id(),
            size: mapping.size(),
        });
        Self::new(ranges.collect())
    }

    /// Parses the text of a mount option, whose ranges are separated by commas.
    fn parse(text: &str) -> Result<Self> {
        let ranges = text.split(',').map(Range::parse);
        Self::new(ranges.collect::<Result<_>>()?)
    }

    /// Reads a file that shows a namespace's map, such as `/proc/PID/uid_map`.
    pub(super) fn read(map: &str) -> Result<Self> {
        let lines = map.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Range::parse(&words.join(":"))
        });
        Self::new(lines.collect::<Result<_>>()?)
    }

    /// Returns the text to write into such a file.
    pub(super) fn map(&self) -> String {
        let lines = self.0.iter();
        lines
            .map(|range| format!("{} {} {}\n", range.container, range.host, range.size))
            .collect()
    }

    fn to_host(&self, id: u32) -> Option<u32> {
        let mut ranges = self.0.iter();
        ranges.find_map(|range| {
            let offset = id.checked_sub(range.container)?;
            (offset < range.size).then(|| range.host + offset)
        })
    }

    fn contains(&self, host: u32) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|range| host >= range.host && host - range.host < range.size)
    }
}

impl fmt::Display for Ranges {
    /// Writes the ranges as [`Ranges::parse`] reads them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let map = self.map();
        formatter.write_str(&map.trim_end().replace(' ', ":").replace('\n', ","))
    }
}

/// The ids of a user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(super) users: Ranges,
    pub(super) groups: Ranges,
}

impl Ids {
    /// Parses the two mount options of an image with mapped ids.
    pub(super) fn parse(users: &str, groups: &str) -> Result<Self> {
        Ok(Self {
            users: Ranges::parse(users)?,
            groups: Ranges::parse(groups)?,
        })
    }
}

/// The users of a container as the node sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Users(Option<Ids>);

impl Users {
    /// Returns the users of the container with this specification. Fails if the specification maps ids in a way that is not
    /// supported.
    pub(crate) fn of(spec: &Spec) -> Result<Self> {
        let linux = spec.linux().as_ref();
        let namespaces = linux.and_then(|linux| linux.namespaces().as_deref());
        let mut kinds = namespaces.unwrap_or_default().iter();
        let Some(linux) =
            linux.filter(|_| kinds.any(|namespace| namespace.typ() == LinuxNamespaceType::User))
        else {
            return Ok(Self(None));
        };
        let ids = Ids {
            users: Ranges::of(linux.uid_mappings().as_deref())?,
            groups: Ranges::of(linux.gid_mappings().as_deref())?,
        };
        for mount in spec.mounts().iter().flatten() {
            ids.check_mount(mount)?;
        }
        let users = Self(Some(ids));
        if let Some(process) = spec.process() {
            users.check(process)?;
        }
        Ok(users)
    }

    /// Returns the users of a container without a user namespace.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Returns the mapped ids, if the container has a user namespace.
    pub(crate) fn ids(&self) -> Option<&Ids> {
        self.0.as_ref()
    }

    /// Fails if the process has an id that is not mapped.
    pub(crate) fn check(&self, process: &Process) -> Result<()> {
        let user = process.user();
        self.user(user.uid())?;
        self.group(user.gid())?;
        let mut groups = user.additional_gids().iter().flatten();
        groups.try_for_each(|group| self.group(*group).map(drop))
    }

    /// Returns a user's id on the node.
    pub(crate) fn user(&self, id: u32) -> Result<u32> {
        let Some(ids) = &self.0 else {
            return Ok(id);
        };
        let host = ids.users.to_host(id);
        host.with_context(|| {
            format!("the user {id} is not mapped in the container's user namespace")
        })
    }

    /// Returns a group's id on the node.
    pub(crate) fn group(&self, id: u32) -> Result<u32> {
        let Some(ids) = &self.0 else {
            return Ok(id);
        };
        let host = ids.groups.to_host(id);
        host.with_context(|| {
            format!("the group {id} is not mapped in the container's user namespace")
        })
    }

    /// Returns whether the container's root has rights over a file with this owner on the node.
    pub(crate) fn governs(&self, user: u32, group: u32) -> bool {
        self.ids()
            .is_none_or(|ids| ids.users.contains(user) && ids.groups.contains(group))
    }
}

impl Ids {
    /// Fails if the mount maps ids in another way than the container.
    fn check_mount(&self, mount: &Mount) -> Result<()> {
        let destination = mount.destination().display();
        let (users, groups) = (mount.uid_mappings(), mount.gid_mappings());
        if users.is_none() && groups.is_none() {
            return Ok(());
        }
        let ids = Self {
            users: Ranges::of(users.as_deref())?,
            groups: Ranges::of(groups.as_deref())?,
        };
        ensure!(
            ids == *self,
            "cannot map the ids of the mount {destination}: its mapping is not the container's"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn users(change: impl Fn(&mut Value)) -> Result<Users> {
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let mut spec = json!({
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 7, "gid": 8, "additionalGids": [9]}, "cwd": "/"},
            "mounts": [
                {"destination": "/plain", "source": "/srv", "options": ["rbind"]},
                {"destination": "/mapped", "source": "/srv", "options": ["rbind"],
                 "uidMappings": mapping, "gidMappings": mapping},
            ],
            "linux": {
                "namespaces": [{"type": "user"}], "uidMappings": mapping, "gidMappings": mapping,
            },
        });
        change(&mut spec);
        Users::of(&serde_json::from_value(spec).expect("a specification"))
    }

    #[test]
    fn a_users_id_on_the_node_is_that_of_its_range() {
        let mapped = users(|_| ()).expect("the mapping is supported");
        assert_eq!(mapped.user(0).expect("mapped"), 100_000);
        assert_eq!(mapped.group(65535).expect("mapped"), 165_535);
        mapped.user(65536).expect_err("beyond the range");
        assert!(mapped.governs(100_000, 165_535));
        for (user, group) in [(0, 100_000), (100_000, 0), (165_536, 100_000)] {
            assert!(!mapped.governs(user, group), "{user}:{group}");
        }
        let host = users(|spec| spec["linux"] = json!({})).expect("no user namespace");
        assert_eq!(host.user(7).expect("the same"), 7);
        assert!(host.governs(0, 0));
    }

    #[test]
    fn a_mapping_that_is_not_supported_is_refused() {
        let all = |mapping: Value| {
            users(move |spec| {
                for at in ["/linux/uidMappings", "/mounts/1/uidMappings"] {
                    *spec.pointer_mut(at).expect("it is there") = mapping.clone();
                }
            })
        };
        let one = |container: u32, host: u32, size: u32| json!({"containerID": container, "hostID": host, "size": size});
        all(json!([one(0, 200_000, 10)])).expect("one range");
        for (mapping, why) in [
            (json!([]), "none"),
            (json!([one(1, 100_000, 10)]), "without root"),
            (json!([one(0, 100_000, 0)]), "empty"),
            (json!([one(0, u32::MAX, 2)]), "beyond the last id"),
            (
                json!([one(0, 100_000, 10), one(9, 200_000, 10)]),
                "an overlap",
            ),
            (json!([one(0, 100_000, 7)]), "without the process's user"),
        ] {
            all(mapping).expect_err(why);
        }
    }

    #[test]
    fn several_ranges_are_looked_up_in_any_order() {
        let one = |container: u32, host: u32, size: u32| json!({"containerID": container, "hostID": host, "size": size});
        let mapping = json!([one(20, 2000, 100), one(0, 0, 20)]);
        let mapped = users(|spec| {
            spec["linux"]["uidMappings"] = mapping.clone();
            spec["linux"]["gidMappings"] = mapping.clone();
            spec["mounts"] = json!([]);
        })
        .expect("two ranges");
        for (id, host) in [(0, 0), (19, 19), (20, 2000), (119, 2099)] {
            assert_eq!(mapped.user(id).expect("mapped"), host);
            assert!(mapped.governs(host, host), "{host}");
        }
        mapped.user(120).expect_err("beyond both");
        assert!(!mapped.governs(20, 0) && !mapped.governs(0, 2100));
        let parsed = Ids::parse("0:0:20,20:2000:100", "20:2000:100,0:0:20").expect("two ranges");
        assert_eq!(mapped.ids(), Some(&parsed));
        let read =
            Ranges::read("        20       2000        100\n         0          0         20\n");
        let read = read.expect("a map of the kernel");
        assert_eq!(read.map(), "0 0 20\n20 2000 100\n");
        assert_eq!(read.to_string(), "0:0:20,20:2000:100");
    }

    #[test]
    fn a_mount_with_another_mapping_is_refused() {
        let other = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
        for key in ["uidMappings", "gidMappings"] {
            let refused = users(|spec| spec["mounts"][1][key] = other.clone());
            let error = refused.expect_err(key).to_string();
            assert!(error.contains("/mapped"), "{error}");
            users(|spec| spec["mounts"][1][key] = Value::Null).expect_err("only one of the two");
        }
    }

    #[test]
    fn an_id_that_is_not_mapped_is_refused_by_its_number() {
        for (at, id) in [
            ("/process/user/uid", 65536),
            ("/process/user/gid", 70000),
            ("/process/user/additionalGids/0", 80000),
        ] {
            let refused = users(|spec| *spec.pointer_mut(at).expect("it is there") = id.into());
            let error = refused.expect_err(at).to_string();
            assert!(error.contains(&id.to_string()), "{error}");
        }
    }

    #[test]
    fn the_options_of_a_mount_are_parsed() {
        let parsed = Ids::parse("0:100000:65536", "0:100000:65536").expect("one range");
        assert_eq!(users(|_| ()).expect("supported").ids(), Some(&parsed));
        for wrong in ["", "0:100000", "0:100000:65536,", "1:100000:5"] {
            Ids::parse(wrong, "0:100000:65536").expect_err(wrong);
        }
    }
}
