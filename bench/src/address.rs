//! Addresses for servers.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Returns an address of this machine on a port that nothing listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_addresses_can_be_listened_on() {
        let address = free_address().expect("a free port");
        TcpListener::bind(address).expect("nothing else listens");
    }
}
