//! The address families of a cluster's network.

use clap::ValueEnum;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The families that the node, pods and Services have addresses of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Families {
    /// IPv4
    Ipv4,
    /// Both; IPv4 comes first
    Dual,
    /// IPv6
    Ipv6,
}

/// There if the kernel has IPv6.
const IPV6: &str = "/proc/sys/net/ipv6";

impl Families {
    /// Returns those that the machine's kernel has.
    pub(crate) fn of_machine() -> Self {
        if Path::new(IPV6).exists() {
            Self::Dual
        } else {
            Self::Ipv4
        }
    }

    /// Returns those of the two that the cluster has; the first is the primary one.
    pub(crate) fn choose<T>(self, v4: T, v6: T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![v4],
            Self::Dual => vec![v4, v6],
            Self::Ipv6 => vec![v6],
        }
    }

    /// Returns the one of the primary family.
    pub(crate) fn primary<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::Ipv4 | Self::Dual => v4,
            Self::Ipv6 => v6,
        }
    }

    /// Returns the address by which a program listens on every address of these families.
    pub(crate) fn any(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            // Takes IPv4, too.
            Self::Dual | Self::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Returns whether there is IPv6.
    pub(crate) fn has_ipv6(self) -> bool {
        self != Self::Ipv4
    }
}

impl fmt::Display for Families {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Dual => "dual",
            Self::Ipv6 => "ipv6",
        })
    }
}
