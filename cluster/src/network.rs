//! A cluster's addresses, and the veth pair that carries them, with one end on the machine and one in the node.
//!
//! The node's subnets lie in 198.18.0.0/15, which is reserved for tests and routed nowhere, and in fd00::/8, which is for
//! local use. Pods and Services have subnets that exist inside the node alone.

use crate::families::Families;
use crate::namespaces;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use visits_support::command;

/// The API's port on the node.
pub(crate) const API_PORT: u16 = 6443;

/// The first groups of the node's IPv6 addresses, with the digits of the IPv4 addresses.
const NODES_V6: [u16; 3] = [0xfd00, 0x198, 0x18];
/// Turns off duplicate address detection, which delays the IPv6 addresses of new interfaces by one or two seconds. Here every
/// address is assigned once.
const USE_AT_ONCE: &str = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";

/// A cluster's network on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// N in the subnets 198.18.N.0/24 and fd00:198:18:N::/64, from 0 to 255.
    number: u8,
    pub(crate) families: Families,
}

impl Network {
    pub(crate) fn new(number: u8, families: Families) -> Self {
        Self { number, families }
    }

    /// Parses the number of a network.
    pub(crate) fn parse(number: &str) -> Result<u8> {
        let number = number.parse().ok();
        number.context("a network must be a number from 0 to 255")
    }

    /// Returns the addresses of the node's end, starting with the primary family's.
    pub(crate) fn nodes(self) -> Vec<IpAddr> {
        self.addresses(2)
    }

    /// Returns the first of them, which is the API's.
    pub(crate) fn node(self) -> IpAddr {
        self.families.primary(self.v4(2), self.v6(2))
    }

    /// Returns the load balancer's range for each family: its first and last address.
    pub(crate) fn balancer(self) -> Vec<(IpAddr, IpAddr)> {
        let ranges = [
            (self.v4(200), self.v4(250)),
            (self.v6(0x200), self.v6(0x250)),
        ];
        let [v4, v6] = ranges;
        self.families.choose(v4, v6)
    }

    /// Returns the subnets of pods.
    pub(crate) fn pods(self) -> Vec<&'static str> {
        self.families.choose("10.244.0.0/24", "fd00:10:244::/64")
    }

    /// Returns the ranges of Services.
    pub(crate) fn services(self) -> Vec<&'static str> {
        self.families.choose("10.96.0.0/16", "fd00:10:96::/112")
    }

    /// Returns the first Service address of the primary family, which Kubernetes assigns to its own API.
    pub(crate) fn api_service(self) -> IpAddr {
        self.families.primary(
            Ipv4Addr::new(10, 96, 0, 1).into(),
            Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 1).into(),
        )
    }

    /// Returns CoreDNS's address.
    pub(crate) fn dns_service(self) -> IpAddr {
        self.families.primary(
            Ipv4Addr::new(10, 96, 0, 10).into(),
            Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 10).into(),
        )
    }

    /// Returns the name of the interface on the machine.
    fn interface(self) -> String {
        format!("visits{}", self.number)
    }

    fn addresses(self, last: u8) -> Vec<IpAddr> {
        self.families.choose(self.v4(last), self.v6(last.into()))
    }

    fn v4(self, last: u8) -> IpAddr {
        Ipv4Addr::new(198, 18, self.number, last).into()
    }

    fn v6(self, last: u16) -> IpAddr {
        let [first, second, third] = NODES_V6;
        // The decimal digits, read as hexadecimal ones, so that a network shows the same number in both families.
        let [hundreds, tens, ones] = [self.number / 100, self.number / 10 % 10, self.number % 10];
        let number = u16::from(hundreds) << 8 | u16::from(tens) << 4 | u16::from(ones);
        Ipv6Addr::new(first, second, third, number, 0, 0, 0, last).into()
    }

    /// Removes the pair after the node's end. The kernel would remove it too, but minutes later: a killed process's connections
    /// keep the node's network until the kernel stops trying to close them.
    pub(crate) fn disconnect(self) -> Result<()> {
        let interface = self.interface();
        let deleted = ip(&["link", "delete", "dev", &interface]);
        // The error does not matter if the interface is gone.
        if ip(&["link", "show", "dev", &interface]).is_ok() {
            deleted?;
        }
        Ok(())
    }

    /// Fails if another running cluster has this network. A cluster that has ended has no interface.
    pub(crate) fn check_free(self) -> Result<()> {
        let taken = ip(&["link", "show", "dev", &self.interface()]).is_ok();
        ensure!(
            !taken,
            "network {self} is in use: the interface {} exists (choose another number with VISITS_CLUSTER_NETWORK)",
            self.interface()
        );
        Ok(())
    }

    /// Creates the pair between the machine and the node, whose first process this is.
    pub(crate) fn connect(self, first: i32) -> Result<()> {
        let interface = self.interface();
        let pid = first.to_string();
        let inside = |program: &str, arguments: &[&str]| {
            let mut command = namespaces::enter(first, program);
            command.args(arguments);
            command::run(command).map(drop)
        };
        if self.families.has_ipv6() {
            inside("sh", &["-c", USE_AT_ONCE])
                .context("the kernel has no IPv6 (use --ip-families ipv4)")?;
        }
        ip(&[
            "link", "add", &interface, "type", "veth", "peer", "name", "eth0", "netns", &pid,
        ])?;
        for address in self.addresses(1) {
            ip(&words(&add(address, &interface)))?;
        }
        ip(&["link", "set", &interface, "up"])?;
        inside("ip", &["link", "set", "lo", "up"])?;
        for address in self.nodes() {
            inside("ip", &words(&add(address, "eth0")))?;
        }
        inside("ip", &["link", "set", "eth0", "up"])?;
        for gateway in self.addresses(1) {
            let gateway = gateway.to_string();
            inside("ip", &["route", "add", "default", "via", &gateway])?;
        }
        Ok(())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(formatter)
    }
}

/// Returns the arguments of `ip` that add an address to an interface. An IPv6 address is usable at once.
fn add(address: IpAddr, interface: &str) -> String {
    match address {
        IpAddr::V4(address) => format!("address add {address}/24 dev {interface}"),
        IpAddr::V6(address) => format!("address add {address}/64 dev {interface} nodad"),
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
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
    fn the_number_is_in_every_address_with_the_same_digits() {
        let network = Network::new(Network::parse("77").expect("a number"), Families::Dual);
        let nodes = network.nodes().into_iter().map(|node| node.to_string());
        assert_eq!(
            nodes.collect::<Vec<_>>(),
            ["198.18.77.2", "fd00:198:18:77::2"]
        );
        let ranges = network.balancer();
        assert_eq!(ranges[0].0.to_string(), "198.18.77.200");
        assert_eq!(ranges[1].1.to_string(), "fd00:198:18:77::250");
        assert!(Network::parse("256").is_err());
        assert!(Network::parse("").is_err());
    }

    #[test]
    fn the_primary_family_comes_first() {
        let node = |families| Network::new(0, families).node().to_string();
        assert_eq!(node(Families::Ipv4), "198.18.0.2");
        assert_eq!(node(Families::Dual), "198.18.0.2");
        assert_eq!(node(Families::Ipv6), "fd00:198:18::2");
        assert_eq!(Network::new(0, Families::Ipv6).pods().len(), 1);
        assert_eq!(Network::new(0, Families::Dual).services().len(), 2);
    }
}
