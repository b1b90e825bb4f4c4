//! A bridge, and a network namespace for each container of `ctr`. For pods a network plugin makes both.

use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use visits_tests::command::run;

/// The bridge. The tests reach the containers through it.
const BRIDGE: &str = "visits0";

/// A network namespace with one address on the bridge. It is removed on drop.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
    address: Ipv4Addr,
}

/// The sysctl for duplicate address detection of new interfaces, which delays their IPv6 addresses by one or two seconds.
const DETECT_DUPLICATES: &str = "/proc/sys/net/ipv6/conf/default/accept_dad";

/// Makes the bridge and disables duplicate address detection: no address of these networks is used twice.
pub(crate) fn bridge() -> Result<()> {
    std::fs::write(DETECT_DUPLICATES, "0").context(DETECT_DUPLICATES)?;
    ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    ip(&["address", "add", "10.88.0.1/16", "dev", BRIDGE])?;
    ip(&["link", "set", BRIDGE, "up"])
}

impl Network {
    /// Makes a namespace with an address that no other container of this run has had.
    pub(crate) fn new() -> Result<Self> {
        static LAST: AtomicU16 = AtomicU16::new(1);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let [high, low] = number.to_be_bytes();
        let network = Self {
            name: format!("visits-{number}"),
            address: Ipv4Addr::new(10, 88, high, low),
        };
        let (name, host) = (network.name.as_str(), format!("v{number}"));
        let address = format!("{}/16", network.address);
        ip(&["netns", "add", name])?;
        ip(&[
            "link", "add", &host, "type", "veth", "peer", "name", "eth0", "netns", name,
        ])?;
        ip(&["link", "set", &host, "master", BRIDGE, "up"])?;
        ip(&["-netns", name, "link", "set", "lo", "up"])?;
        ip(&["-netns", name, "address", "add", &address, "dev", "eth0"])?;
        ip(&["-netns", name, "link", "set", "eth0", "up"])?;
        Ok(network)
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> IpAddr {
        self.address.into()
    }

    /// Returns the file by which it is entered.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Its interfaces vanish with it. If this fails, they vanish with the namespaces of the tests.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command).map(drop)
}
