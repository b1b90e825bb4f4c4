//! A cluster's addresses: a subnet of 198.18.0.0/15, which is set aside for tests and routed nowhere, on a pair of
//! virtual interfaces, one end on the machine and one in the node.

use crate::node::Node;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::net::Ipv4Addr;
use std::process::Command;
use visits_tests::command;

/// The addresses of pods, inside the node alone.
pub(crate) const PODS: &str = "10.244.0.0/24";
/// The addresses of services.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The first of them, which Kubernetes gives to its own API.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The one that CoreDNS gets.
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The API's port on the node.
pub(crate) const API_PORT: u16 = 6443;

/// The number of a cluster on this machine, 0 to 255: its subnet is 198.18.N.0/24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Network(u8);

impl Network {
    pub(crate) fn parse(number: &str) -> Result<Self> {
        let number = number.parse();
        Ok(Self(
            number.ok().context("a network is a number from 0 to 255")?,
        ))
    }

    /// The machine's end.
    pub(crate) fn host(self) -> Ipv4Addr {
        self.address(1)
    }

    /// The node's end.
    pub(crate) fn node(self) -> Ipv4Addr {
        self.address(2)
    }

    /// What the load balancer gives out, as the first and the last of a range.
    pub(crate) fn balancer(self) -> (Ipv4Addr, Ipv4Addr) {
        (self.address(200), self.address(250))
    }

    /// The interface on the machine.
    pub(crate) fn interface(self) -> String {
        format!("visits{}", self.0)
    }

    fn address(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.0, last)
    }

    /// Removes the pair after the node's end. The kernel would do so, too, but may take minutes: a connection that a
    /// killed process had keeps the node's network until the kernel gives up to close it in order.
    pub(crate) fn disconnect(self) -> Result<()> {
        let interface = self.interface();
        let deleted = ip(&["link", "delete", "dev", &interface]);
        // What is gone already is as good.
        if ip(&["link", "show", "dev", &interface]).is_ok() {
            deleted?;
        }
        Ok(())
    }

    /// An error when another cluster has this subnet. One that has ended has no interface left.
    pub(crate) fn check_free(self) -> Result<()> {
        let taken = ip(&["link", "show", "dev", &self.interface()]).is_ok();
        ensure!(
            !taken,
            "the interface {} is there already, so another cluster has network {self}: choose another number by VISITS_CLUSTER_NETWORK",
            self.interface()
        );
        Ok(())
    }

    /// Lays the pair between the machine and the node.
    pub(crate) fn connect(self, node: &Node) -> Result<()> {
        let interface = self.interface();
        let pid = node.first().to_string();
        ip(&[
            "link", "add", &interface, "type", "veth", "peer", "name", "eth0", "netns", &pid,
        ])?;
        ip(&[
            "address",
            "add",
            &format!("{}/24", self.host()),
            "dev",
            &interface,
        ])?;
        ip(&["link", "set", &interface, "up"])?;
        let inside = |arguments: &[&str]| {
            let mut command = node.command("ip");
            command.args(arguments);
            command::run(command).map(drop)
        };
        inside(&["link", "set", "lo", "up"])?;
        inside(&[
            "address",
            "add",
            &format!("{}/24", self.node()),
            "dev",
            "eth0",
        ])?;
        inside(&["link", "set", "eth0", "up"])?;
        inside(&["route", "add", "default", "via", &self.host().to_string()])
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    command::run(command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_third_part_of_every_address() {
        let network = Network::parse("7").expect("a number");
        assert_eq!(network.node().to_string(), "198.18.7.2");
        assert_eq!(network.balancer().0.to_string(), "198.18.7.200");
        assert!(Network::parse("256").is_err());
        assert!(Network::parse("").is_err());
    }
}
