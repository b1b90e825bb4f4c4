//! Which outbound requests a component may send: none but those that `allowed_outbound_hosts` names.
//!
//! Requests are judged before a name is looked up or a connection is opened (see `crate::send`). Sockets are denied
//! altogether: a component has no other way out than `wasi:http`. This module needs no engine, so that it can be fuzzed.

use anyhow::{Context, Result, bail, ensure};
use http::Uri;

/// The patterns of `allowed_outbound_hosts`.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    https: bool,
    host: Host,
    /// `None` allows any port.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Host {
    Any,
    Exactly(String),
    /// `.example.com` for `*.example.com`.
    Below(String),
}

impl Allowed {
    /// Adds a pattern like `https://example.com`, `http://*.example.com:8080` or `http://127.0.0.1:*`.
    pub fn add(&mut self, pattern: &str) -> Result<()> {
        let parsed = Pattern::parse(pattern).with_context(|| {
            format!(
                "the outbound host {pattern:?} is not supported: write http://HOST[:PORT] or https://HOST[:PORT], \
                 where HOST may be * or begin with *. and PORT may be *"
            )
        });
        self.patterns
            .push(parsed.map_err(|error| anyhow::anyhow!("{error}"))?);
        Ok(())
    }

    /// Returns whether nothing may be sent at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a request to this URI may be sent.
    pub fn allows(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return false;
        };
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return false,
        };
        let port = uri.port_u16().unwrap_or(default_port(https));
        let host = host.to_ascii_lowercase();
        self.patterns
            .iter()
            .any(|pattern| pattern.matches(https, &host, port))
    }
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self> {
        let (scheme, rest) = pattern.split_once("://").context("no scheme")?;
        let https = match scheme {
            "http" => false,
            "https" => true,
            _ => bail!("the scheme"),
        };
        let (host, port) = match rest.rsplit_once(':') {
            // A colon inside brackets belongs to an IPv6 address.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            None => Some(default_port(https)),
            Some("*") => None,
            Some(port) => {
                ensure!(port.bytes().all(|byte| byte.is_ascii_digit()), "the port");
                Some(port.parse()?)
            }
        };
        Ok(Self {
            https,
            host: Host::parse(host)?,
            port,
        })
    }

    fn matches(&self, https: bool, host: &str, port: u16) -> bool {
        let host_matches = match &self.host {
            Host::Any => true,
            Host::Exactly(name) => name == host,
            Host::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        };
        host_matches && self.https == https && self.port.is_none_or(|allowed| allowed == port)
    }
}

impl Host {
    fn parse(host: &str) -> Result<Self> {
        if host == "*" {
            return Ok(Self::Any);
        }
        let (name, below) = match host.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (host, false),
        };
        let parsed: http::uri::Authority = name.parse()?;
        ensure!(parsed.host() == name && parsed.port().is_none(), "the host");
        ensure!(!name.contains(['*', '{', '@']), "the host");
        let name = name.to_ascii_lowercase();
        Ok(if below {
            Self::Below(format!(".{name}"))
        } else {
            Self::Exactly(name)
        })
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, uri: &str) -> bool {
        let mut allowed = Allowed::default();
        allowed.add(pattern).expect("a pattern");
        allowed.allows(&uri.parse().expect("a URI"))
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!Allowed::default().allows(&"http://example.com/".parse().expect("a URI")));
    }

    #[test]
    fn scheme_host_and_port_must_all_match() {
        assert!(allows("http://example.com", "http://EXAMPLE.com/path"));
        assert!(allows("http://example.com", "http://example.com:80/"));
        assert!(!allows("http://example.com", "https://example.com/"));
        assert!(!allows("http://example.com", "http://example.com:8080/"));
        assert!(!allows("http://example.com", "http://evil-example.com/"));
        assert!(!allows(
            "http://example.com",
            "http://example.com.evil.org/"
        ));
        assert!(!allows(
            "http://example.com",
            "http://example.com@evil.org/"
        ));
        assert!(allows("http://[::1]:80", "http://[::1]/"));
    }

    #[test]
    fn a_star_stands_for_a_host_its_subdomains_or_a_port() {
        assert!(
            allows("https://*", "https://anything.org/")
                && !allows("https://*", "https://a.org:8443/")
        );
        assert!(allows("https://*:*", "https://a.org:8443/"));
        assert!(allows("https://*.example.com", "https://a.b.example.com/"));
        assert!(!allows("https://*.example.com", "https://example.com/"));
        assert!(allows("http://127.0.0.1:*", "http://127.0.0.1:9/"));
    }

    #[test]
    fn every_other_form_is_refused() {
        let refused = [
            "example.com",
            "redis://a",
            "http://",
            "http://a/path",
            "http://a:b",
            "http://a:+1",
            "http://a*",
            "http://u@a",
            "self",
            "http://{{ host }}",
            "http://*.",
            "http://a:99999",
            "*://a",
        ];
        for pattern in refused {
            assert!(
                Allowed::default().add(pattern).is_err(),
                "{pattern} is accepted"
            );
        }
    }
}
