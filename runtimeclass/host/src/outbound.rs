//! Decides which outbound requests a component may send: only those to `allowed_outbound_hosts`.
//!
//! A request is checked before its host's name is resolved or a connection is opened (see `crate::send`). Sockets are
//! always denied, so `wasi:http` is the only way out. This module does not use the engine, so that it can be fuzzed.

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::Uri;
use ipnet::IpNet;
use std::net::IpAddr;

/// The patterns of `allowed_outbound_hosts`.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    scheme: Scheme,
    host: Host,
    ports: Ports,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    /// Both of them. A component cannot send other requests.
    Any,
}

#[derive(Clone, Debug)]
enum Host {
    Any,
    Exactly(String),
    /// A suffix: `.example.com` for `*.example.com`.
    Below(String),
    Network(IpNet),
}

#[derive(Clone, Debug)]
enum Ports {
    Any,
    /// The scheme's default port.
    Default,
    /// Excludes the end, as in Spin.
    Range(std::ops::Range<u16>),
    One(u16),
}

impl Allowed {
    /// Adds a pattern like `https://example.com`, `http://*.example.com:8080`, `http://10.0.0.0/8:*` or `*://*:*`.
    pub(crate) fn add(&mut self, pattern: &str) -> Result<()> {
        let parsed = Pattern::parse(pattern.trim())
            .map_err(|error| anyhow!("the outbound host {pattern:?} is not supported: {error}"));
        self.patterns.push(parsed?);
        Ok(())
    }

    /// Returns whether every request is refused.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Returns whether a request to this URI may be sent.
    pub fn allows(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return false;
        };
        let scheme = match scheme {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return false,
        };
        let port = uri.port_u16().unwrap_or(scheme.default_port());
        let host = host.to_ascii_lowercase();
        self.patterns
            .iter()
            .any(|pattern| pattern.matches(scheme, &host, port))
    }
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self> {
        const FORM: &str = "write http://HOST[:PORT] or https://HOST[:PORT]. HOST may be *, begin with *. or be a \
            network. PORT may be * or FIRST..END";
        ensure!(
            pattern != "insecure:allow-all",
            "write \"*://*:*\" to allow every host"
        );
        let (scheme, rest) = pattern.split_once("://").context(FORM)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "*" => Scheme::Any,
            other if other.bytes().all(|byte| byte.is_ascii_alphabetic()) && !other.is_empty() => {
                bail!("components have no client for {other}: they can only send HTTP requests")
            }
            _ => bail!(FORM),
        };
        // A colon within brackets, or before a prefix length, belongs to an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') && network(rest).is_none() => {
                (host, Some(port.strip_suffix('/').unwrap_or(port)))
            }
            _ => (rest, None),
        };
        let host = Host::parse(host.strip_suffix('/').unwrap_or(host))?.context(FORM)?;
        let ports = Ports::parse(port).context(FORM)?;
        ensure!(
            !matches!((&ports, scheme), (Ports::Default, Scheme::Any)),
            "the scheme * has no default port: write *://HOST:* or *://HOST:PORT"
        );
        Ok(Self {
            scheme,
            host,
            ports,
        })
    }

    fn matches(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        let host_matches = match &self.host {
            Host::Any => true,
            Host::Exactly(name) => name == host,
            Host::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Host::Network(network) => address(host).is_some_and(|host| network.contains(&host)),
        };
        let scheme_matches = self.scheme == Scheme::Any || self.scheme == scheme;
        let port_matches = match &self.ports {
            Ports::Any => true,
            Ports::Default => port == scheme.default_port(),
            Ports::Range(range) => range.contains(&port),
            Ports::One(one) => *one == port,
        };
        host_matches && scheme_matches && port_matches
    }
}

impl Scheme {
    fn default_port(self) -> u16 {
        if self == Self::Https { 443 } else { 80 }
    }
}

impl Host {
    /// Parses a host. Returns `None` if it is malformed. Fails if it is an unsupported feature of Spin.
    fn parse(host: &str) -> Result<Option<Self>> {
        if host == "*" {
            return Ok(Some(Self::Any));
        }
        if let Some(network) = network(host) {
            return Ok(Some(Self::Network(network)));
        }
        let (name, below) = match host.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (host, false),
        };
        let name = name.to_ascii_lowercase();
        ensure!(
            name != "self" && name != "self.alt",
            "an application has no name for requests to itself: use its address in your network"
        );
        ensure!(
            name != "spin.internal" && !name.ends_with(".spin.internal"),
            "components have no names for requests to each other: give the other component a route, and use its address"
        );
        let parsed: Result<http::uri::Authority, _> = name.parse();
        let plain = parsed.is_ok_and(|parsed| parsed.host() == name && parsed.port().is_none());
        if !plain || name.contains(['*', '{', '@']) {
            return Ok(None);
        }
        Ok(Some(if below {
            Self::Below(format!(".{name}"))
        } else {
            Self::Exactly(name)
        }))
    }
}

impl Ports {
    fn parse(port: Option<&str>) -> Option<Self> {
        let number = |text: &str| -> Option<u16> {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok())?
        };
        Some(match port {
            None => Self::Default,
            Some("*") => Self::Any,
            Some(port) => match port.split_once("..") {
                Some((first, end)) => Self::Range(number(first)?..number(end)?),
                None => Self::One(number(port)?),
            },
        })
    }
}

/// Parses an address, or a network like `10.0.0.0/8`. The network's address may have bits after the prefix.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().map(|network: IpNet| network.trunc());
    network.ok().or_else(|| address(text).map(IpNet::from))
}

/// Parses a host that is an address. IPv6 addresses are in brackets.
fn address(host: &str) -> Option<IpAddr> {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

// An explicit path, so that fuzz/bodies can include this file.
#[cfg(test)]
#[path = "outbound/tests.rs"]
mod tests;
