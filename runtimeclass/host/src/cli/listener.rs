//! The socket that the command listens on, and its address families.
//!
//! A pod has IPv4 addresses, IPv6 addresses or both, and probes and Services use any of them. So the default in a container
//! is one socket for both families. If the kernel or a sandbox lacks one family, the socket has the other one.

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;

const DEFAULT_PORT: u16 = 5000;

/// Connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 1024;

/// Listens on `given`, or on the default address of a machine or a container.
pub(super) fn listen(given: Option<SocketAddr>, in_container: bool) -> Result<TcpListener> {
    let socket = match given {
        None if in_container => open_any(DEFAULT_PORT, open),
        _ => {
            let local = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
            open(given.unwrap_or(local), Accepts::Both).map_err(|failure| failure.error)
        }
    };
    TcpListener::from_std(socket?.into()).context("cannot watch the listener")
}

/// The connections that an IPv6 socket accepts. An IPv4 socket accepts IPv4 connections in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepts {
    /// IPv6 and IPv4, whatever the kernel's default (`net.ipv6.bindv6only`) is.
    Both,
    /// IPv6.
    Ipv6,
}

/// Why a socket could not be opened.
#[derive(Debug)]
struct Failure {
    error: anyhow::Error,
    /// Whether this machine lacks the address family, so that the other one may work.
    lacks_family: bool,
}

/// Opens a socket on every address of the machine: for both families, or for the family that the machine has.
fn open_any<T>(
    port: u16,
    mut open: impl FnMut(SocketAddr, Accepts) -> Result<T, Failure>,
) -> Result<T> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    for (address, accepts) in [(v6, Accepts::Both), (v4, Accepts::Both)] {
        match open(address, accepts) {
            Err(failure) if failure.lacks_family => {}
            ended => return ended.map_err(|failure| failure.error),
        }
    }
    open(v6, Accepts::Ipv6).map_err(|failure| failure.error)
}

fn open(address: SocketAddr, accepts: Accepts) -> Result<Socket, Failure> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
    .map_err(|error| Failure::of(address, &error, lacks_sockets(&error)))?;
    if address.is_ipv6() {
        socket
            .set_only_v6(accepts == Accepts::Ipv6)
            .map_err(|error| Failure::of(address, &error, true))?;
    }
    socket
        .set_reuse_address(true)
        .and_then(|()| socket.set_nonblocking(true))
        .and_then(|()| socket.bind(&address.into()))
        .and_then(|()| socket.listen(BACKLOG))
        .map_err(|error| Failure::of(address, &error, lacks_address(&error)))?;
    Ok(socket)
}

impl Failure {
    fn of(address: SocketAddr, error: &io::Error, lacks_family: bool) -> Self {
        let remedy = match lacks_family {
            true if address.ip().is_unspecified() => {
                " (does this machine have the address family? try the other one)"
            }
            true => " (does this machine have the address?)",
            false => "",
        };
        Self {
            error: anyhow::anyhow!("cannot listen on {address} (--listen): {error}{remedy}"),
            lacks_family,
        }
    }
}

/// Returns whether the kernel has no sockets of the family, or a system call filter refuses them.
fn lacks_sockets(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::EPERM | libc::EACCES)
    )
}

/// Returns whether the kernel has sockets of the family, but no address for them.
fn lacks_address(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const V6: &str = "[::]:5000";
    const V4: &str = "0.0.0.0:5000";

    /// Opens a socket on a machine where these attempts fail with these errors. Returns the attempts and the result.
    fn on_a_machine(
        fails: &[(&str, Accepts, i32)],
    ) -> (Vec<(String, Accepts)>, Result<String, String>) {
        let mut tried = Vec::new();
        let ended = open_any(DEFAULT_PORT, |address, accepts| {
            let name = address.to_string();
            tried.push((name.clone(), accepts));
            match fails
                .iter()
                .find(|fail| (fail.0, fail.1) == (&name, accepts))
            {
                None => Ok(name),
                Some((.., errno)) => {
                    let error = io::Error::from_raw_os_error(*errno);
                    let lacks = lacks_sockets(&error) || lacks_address(&error);
                    Err(Failure::of(address, &error, lacks))
                }
            }
        });
        (tried, ended.map_err(|error| error.to_string()))
    }

    #[test]
    fn one_socket_accepts_both_families() {
        let (tried, ended) = on_a_machine(&[]);
        assert_eq!(tried, [(V6.to_owned(), Accepts::Both)]);
        assert_eq!(ended.as_deref(), Ok(V6));
    }

    #[test]
    fn without_ipv6_it_is_ipv4() {
        for errno in [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL, libc::EPERM] {
            let (_, ended) = on_a_machine(&[(V6, Accepts::Both, errno)]);
            assert_eq!(ended.as_deref(), Ok(V4), "{errno}");
        }
    }

    #[test]
    fn without_ipv4_it_is_ipv6() {
        let (tried, ended) = on_a_machine(&[
            (V6, Accepts::Both, libc::EAFNOSUPPORT),
            (V4, Accepts::Both, libc::EAFNOSUPPORT),
        ]);
        assert_eq!(tried.last(), Some(&(V6.to_owned(), Accepts::Ipv6)));
        assert_eq!(ended.as_deref(), Ok(V6));
    }

    #[test]
    fn an_address_in_use_is_an_error_and_does_not_lead_to_one_family() {
        let (tried, ended) = on_a_machine(&[(V6, Accepts::Both, libc::EADDRINUSE)]);
        assert_eq!(tried.len(), 1);
        let error = ended.expect_err("the address is in use");
        assert!(
            error.starts_with("cannot listen on [::]:5000 (--listen): "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_error_names_an_address_that_the_machine_does_not_have_in_one_line() {
        // A range for documentation.
        let address = SocketAddr::from(([192, 0, 2, 1], 5000));
        let error = listen(Some(address), true).expect_err("no machine has it");
        let error = error.to_string();
        assert!(
            error.starts_with("cannot listen on 192.0.2.1:5000 (--listen): "),
            "{error}"
        );
        assert!(
            error.ends_with("(does this machine have the address?)"),
            "{error}"
        );
    }
}
