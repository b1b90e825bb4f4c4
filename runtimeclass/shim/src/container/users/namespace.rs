//! A user namespace, created or joined by an idle process and opened from outside.
//!
//! The mapping of a namespace is read only through a process in it. So a namespace that exists is checked, too: its ids are
//! those of the specification, by which the helper changes owners on the node.

use super::mapping::{Ids, Ranges};
use crate::container::idle::Idle;
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// Opens the namespace at `path`, or a new one, whose ids must be these.
pub(super) fn open(path: Option<&Path>, ids: &Ids) -> Result<File> {
    let describe = || match path {
        Some(path) => format!("cannot join the user namespace {}", path.display()),
        None => "cannot create a user namespace".to_owned(),
    };
    let existing = path.map(File::open).transpose().with_context(describe)?;
    let idle = Idle::start(|| match &existing {
        Some(existing) => {
            move_into_link_name_space(existing.as_fd(), Some(LinkNameSpaceType::User))
        }
        // SAFETY: unshares no descriptors.
        None => unsafe { unshare_unsafe(UnshareFlags::NEWUSER) },
    })
    .with_context(describe)?;
    let file = |name: &str| format!("/proc/{}/{name}", idle.pid());
    for (name, ranges) in [("uid_map", &ids.users), ("gid_map", &ids.groups)] {
        let path = file(name);
        if existing.is_none() {
            std::fs::write(&path, ranges.map()).with_context(describe)?;
        }
        let text = std::fs::read_to_string(&path).with_context(describe)?;
        let actual = Ranges::read(&text).with_context(describe)?;
        ensure!(
            actual == *ranges,
            "{}: its {name} is {actual}, not that of the container, {ranges}",
            describe()
        );
    }
    File::open(file("ns/user")).with_context(describe)
}
