//! The labels of SELinux and the profiles of AppArmor that a container's processes run with.
//!
//! libcontainer knows no SELinux labels of processes, and sets an AppArmor profile for the next `execve` alone
//! (docs/upstream/selinux.md, apparmor.md). A
//! process that serves a component executes nothing, so it changes its own label instead. A container whose label the
//! node cannot apply is refused: without it, it would run with that of containerd.

use anyhow::{Context, Result, bail, ensure};
use libcontainer::oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Present if the kernel enforces one or the other.
const SELINUX: &str = "/sys/fs/selinux/enforce";
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";

/// Refuses a process whose label this node cannot apply.
pub(super) fn check(process: &Process) -> Result<()> {
    if let Some(label) = selinux(process) {
        ensure!(
            Path::new(SELINUX).exists(),
            "cannot apply the SELinux label {label}: the node's kernel has no SELinux (is enable_selinux set in containerd's configuration?)"
        );
    }
    if let Some(profile) = apparmor(process) {
        let enabled = std::fs::read_to_string(APPARMOR).unwrap_or_default();
        ensure!(
            enabled.trim() == "Y",
            "cannot apply the AppArmor profile {profile}: the node's kernel has no AppArmor"
        );
    }
    Ok(())
}

/// Applies the labels to a program that this thread is about to execute.
pub(super) fn at_execve(process: &Process) -> Result<()> {
    match selinux(process) {
        // libcontainer has set the profile of AppArmor.
        Some(label) => set("exec", label),
        None => Ok(()),
    }
}

/// Applies the labels to this process, which executes nothing. To be called while it has one thread.
pub(super) fn now(process: &Process) -> Result<()> {
    if let Some(profile) = apparmor(process) {
        set("apparmor/current", &format!("changeprofile {profile}"))?;
    }
    match selinux(process) {
        Some(label) => set("current", label),
        None => Ok(()),
    }
}

fn selinux(process: &Process) -> Option<&str> {
    let label = process.selinux_label().as_deref();
    label.filter(|label| !label.is_empty())
}

fn apparmor(process: &Process) -> Option<&str> {
    let profile = process.apparmor_profile().as_deref();
    profile.filter(|profile| !profile.is_empty() && *profile != "unconfined")
}

fn set(attribute: &str, value: &str) -> Result<()> {
    let describe = || format!("cannot apply the label {value:?}");
    let mut file = open(attribute).with_context(describe)?;
    file.write_all(value.as_bytes()).with_context(describe)
}

/// Opens an attribute of this thread. The container's mounts decide what is at the path: it must be the kernel's.
fn open(attribute: &str) -> Result<File> {
    let open = |path: &str| -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(
            rustix::fs::CWD,
            path,
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::NO_MAGICLINKS,
        )
    };
    let path = format!("/proc/thread-self/attr/{attribute}");
    let file = match open(&path) {
        // Before Linux 5.8 the modules shared one file.
        Err(Errno::NOENT) => open("/proc/thread-self/attr/current"),
        opened => opened,
    };
    let file = file.with_context(|| path.clone())?;
    if rustix::fs::fstatfs(&file)?.f_type != PROC_SUPER_MAGIC {
        bail!("{path} is not the kernel's");
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcontainer::oci_spec::runtime::ProcessBuilder;

    #[test]
    fn a_label_that_the_node_cannot_apply_is_refused_by_its_name() {
        let process = || ProcessBuilder::default().cwd("/");
        check(&process().build().expect("a process")).expect("no label");
        let unconfined = process().apparmor_profile("unconfined");
        check(&unconfined.build().expect("a process")).expect("no profile");
        let refused = |process: ProcessBuilder, label: &str| {
            let error = check(&process.build().expect("a process")).expect_err(label);
            assert!(error.to_string().contains(label), "{error}");
        };
        if !Path::new(SELINUX).exists() {
            let label = "system_u:system_r:container_t:s0:c1,c2";
            refused(process().selinux_label(label), label);
        }
        if !Path::new(APPARMOR).exists() {
            let profile = "cri-containerd.apparmor.d";
            refused(process().apparmor_profile(profile), profile);
        }
    }

    #[test]
    fn an_attribute_is_the_kernels_own() {
        let refused = set("current", "no label at all").expect_err("no such label");
        assert!(
            format!("{refused:#}").contains("no label at all"),
            "{refused:#}"
        );
    }
}
