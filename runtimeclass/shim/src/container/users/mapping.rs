//! The ids of a container's users on the node, and the refusal of mappings that this runtime does not support.
//!
//! Kubernetes gives each pod one range of ids from 0 on, and maps the pod's volumes and images by the same range. Other
//! mappings are refused, because no test covers them.

use anyhow::{Context, Result, bail, ensure};
use libcontainer::oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Process, Spec};

/// The words that begin the refusals of a mapping.
const REFUSED: &str = "cannot map the users of the container";

/// The ids from 0 on in a user namespace, and their ids on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The id on the node of the id 0.
    pub(super) host: u32,
    /// The number of ids.
    pub(super) size: u32,
}

impl Range {
    fn of(mappings: Option<&[LinuxIdMapping]>) -> Result<Self> {
        let [mapping] = mappings.unwrap_or_default() else {
            bail!("{REFUSED}: exactly one mapping of users and one of groups is supported");
        };
        Self::new(mapping.container_id(), mapping.host_id(), mapping.size())
    }

    /// Parses the text of a mount option: the id in the container, the id on the node, the number of ids.
    fn parse(text: &str) -> Result<Self> {
        let numbers = text.split(':').map(str::parse);
        let numbers: Vec<u32> = numbers.collect::<Result<_, _>>()?;
        let [container, host, size] = numbers[..] else {
            bail!("{text} is not one mapping of ids");
        };
        Self::new(container, host, size)
    }

    fn new(container: u32, host: u32, size: u32) -> Result<Self> {
        let mapping = format!("{container}:{host}:{size}");
        ensure!(
            container == 0 && size > 0 && host.checked_add(size).is_some(),
            "{REFUSED} by {mapping}: a mapping must begin at 0 in the container"
        );
        ensure!(
            host > 0,
            "{REFUSED} by {mapping}: the mapping contains the node's root"
        );
        Ok(Self { host, size })
    }

    fn to_host(self, id: u32) -> Option<u32> {
        (id < self.size).then(|| self.host + id)
    }

    fn contains(self, host: u32) -> bool {
        host >= self.host && host - self.host < self.size
    }
}

/// The ids of a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(super) users: Range,
    pub(super) groups: Range,
}

impl Ids {
    /// Parses the two mount options of an image with mapped ids.
    pub(super) fn parse(users: &str, groups: &str) -> Result<Self> {
        Ok(Self {
            users: Range::parse(users)?,
            groups: Range::parse(groups)?,
        })
    }
}

/// The users of a container as the node sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            users: Range::of(linux.uid_mappings().as_deref())?,
            groups: Range::of(linux.gid_mappings().as_deref())?,
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
        let Some(ids) = self.0 else {
            return Ok(id);
        };
        let host = ids.users.to_host(id);
        host.with_context(|| {
            format!("the user {id} is not mapped in the container's user namespace")
        })
    }

    /// Returns a group's id on the node.
    pub(crate) fn group(&self, id: u32) -> Result<u32> {
        let Some(ids) = self.0 else {
            return Ok(id);
        };
        let host = ids.groups.to_host(id);
        host.with_context(|| {
            format!("the group {id} is not mapped in the container's user namespace")
        })
    }

    /// Returns whether the container's root has rights over a file with this owner on the node.
    pub(crate) fn governs(&self, user: u32, group: u32) -> bool {
        self.0
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
            users: Range::of(users.as_deref())?,
            groups: Range::of(groups.as_deref())?,
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
            (json!([one(0, 100_000, 10), one(10, 200_000, 10)]), "two"),
            (json!([one(1, 100_000, 10)]), "without root"),
            (json!([one(0, 0, 65536)]), "with the node's root"),
            (json!([one(0, 100_000, 0)]), "empty"),
            (json!([one(0, u32::MAX, 2)]), "beyond the last id"),
            (json!([one(0, 100_000, 7)]), "without the process's user"),
        ] {
            all(mapping).expect_err(why);
        }
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
        for wrong in ["", "0:100000", "0:100000:65536,65536:1:1", "1:100000:5"] {
            Ids::parse(wrong, "0:100000:65536").expect_err(wrong);
        }
    }
}
