//! The node's files and programs, in file systems of its own.

use crate::config::{self, write};
use crate::registry;
use anyhow::{Context, Result};
use rustix::mount::mount_bind;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use visits_support::mount::tmpfs;
use visits_tests::artifacts;

/// Directories that containerd and the suites write to, beside those that `contained` replaces.
const DIRECTORIES: [&str; 2] = ["/opt", "/etc/cni"];

/// The file with the addresses of names.
const HOSTS: &str = "/etc/hosts";

/// The sysctl for duplicate address detection of new interfaces, which delays their IPv6 addresses by one or two seconds.
const DETECT_DUPLICATES: &str = "/proc/sys/net/ipv6/conf/default/accept_dad";

/// The sysctls that let the node forward the pods' packets.
const FORWARD: [&str; 2] = [
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
];

/// Links the programs and writes the configuration.
pub(crate) fn furnish(runtime: &str) -> Result<()> {
    for directory in DIRECTORIES {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {directory}"))?;
        tmpfs(directory)?;
    }
    for directory in [config::binaries(), config::plugins(), config::networks()] {
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    for name in ["containerd", "containerd-shim-runc-v2", "runc", "ctr"] {
        link(&artifacts::node_binary(name)?, &config::binaries())?;
    }
    for name in ["bridge", "loopback", "host-local", "portmap"] {
        link(&artifacts::node_binary(name)?, &config::plugins())?;
    }
    link(&artifacts::shim()?, &config::binaries())?;
    let hosts = config::certificate().with_file_name("hosts");
    write(&hosts, &registry::hosts())?;
    mount_bind(&hosts, HOSTS).with_context(|| format!("cannot replace {HOSTS}"))?;
    write(&config::file(), &config::containerd(runtime))?;
    write(
        &config::networks().join("10-conformance.conflist"),
        &config::network(),
    )?;
    write(Path::new(DETECT_DUPLICATES), "0")?;
    FORWARD
        .iter()
        .try_for_each(|file| write(Path::new(file), "1"))
}

fn link(program: &Path, directory: &Path) -> Result<()> {
    let name = program
        .file_name()
        .context("a program's path has no file name")?;
    let link = directory.join(name);
    symlink(program, &link).with_context(|| format!("cannot create {}", link.display()))
}
