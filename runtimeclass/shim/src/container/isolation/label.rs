//! The SELinux labels and AppArmor profiles of a container's processes.
//!
//! libcontainer ignores the SELinux labels of processes, and sets an AppArmor profile for the next `execve` only
//! (docs/upstream/selinux.md, apparmor.md). A process that serves a component calls no `execve`, so it changes its own label
//! instead. A container whose label the node cannot apply is refused, because it would run with containerd's label.

use anyhow::{Context, Result, bail, ensure};
use libcontainer::oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The files that exist if the kernel supports SELinux or AppArmor.
const SELINUX: &str = "/sys/fs/selinux/enforce";
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";

/// Refuses a process whose label this node cannot apply.
pub(crate) fn check(process: &Process) -> Result<()> {
    if let Some(label) = selinux(process) {
        ensure!(
            Path::new(SELINUX).exists(),
            "cannot apply the SELinux label {label}: the node's kernel has no SELinux (remove enable_selinux from containerd's configuration, or the label from the pod)"
        );
    }
    if let Some(profile) = apparmor(process) {
        let enabled = std::fs::read_to_string(APPARMOR).unwrap_or_default();
        ensure!(
            enabled.trim() == "Y",
            "cannot apply the AppArmor profile {profile}: the node's kernel has no AppArmor (remove the profile from the pod)"
        );
    }
    Ok(())
}

/// Applies the labels to a program that this thread is about to execute.
pub(crate) fn at_execve(process: &Process) -> Result<()> {
    match selinux(process) {
        // libcontainer has set the AppArmor profile.
        Some(label) => set("exec", label),
        None => Ok(()),
    }
}

/// Applies the labels to this process, which executes no program. The process must have one thread.
pub(crate) fn now(process: &Process) -> Result<()> {
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

/// Opens an attribute of this thread. Fails if the file at its path is not the kernel's, because the container's mounts
/// decide what is there.
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
        // Before Linux 5.8 all security modules shared one file.
        Err(Errno::NOENT) => open("/proc/thread-self/attr/current"),
        opened => opened,
    };
    let file = file.with_context(|| format!("cannot open {path}"))?;
    if rustix::fs::fstatfs(&file)?.f_type != PROC_SUPER_MAGIC {
        bail!("{path} is not on the kernel's procfs");
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcontainer::oci_spec::runtime::ProcessBuilder;

    #[test]
    fn a_label_that_the_node_cannot_apply_is_refused_by_name() {
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
