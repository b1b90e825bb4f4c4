//! The address families of a cluster's network.

use clap::ValueEnum;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// The address families of the node, pods and Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Families {
    /// IPv4
    Ipv4,
    /// Both, with IPv4 first
    Dual,
    /// IPv6
    Ipv6,
}

/// Exists if the kernel has IPv6.
const IPV6: &str = "/proc/sys/net/ipv6";

impl Families {
    /// Returns the families that the machine's kernel has.
    pub(crate) fn of_machine() -> Self {
        if Path::new(IPV6).exists() {
            Self::Dual
        } else {
            Self::Ipv4
        }
    }

    /// Returns the values of this cluster's families, starting with the primary one.
    pub(crate) fn choose<T>(self, v4: T, v6: T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![v4],
            Self::Dual => vec![v4, v6],
            Self::Ipv6 => vec![v6],
        }
    }

    /// Returns the value of the primary family.
    pub(crate) fn primary<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::Ipv4 | Self::Dual => v4,
            Self::Ipv6 => v6,
        }
    }

    /// Returns the address on which a program listens for all of these families.
    pub(crate) fn any(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            // This one accepts IPv4 too.
            Self::Dual | Self::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Returns whether IPv6 is one of the families.
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
