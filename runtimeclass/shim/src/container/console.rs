//! A terminal on its way to the server. libcontainer makes it inside the container and sends its master side over a
//! socket; the process that made the container gives it to the container's user and sends it on.

use crate::helper;
use crate::request::Place;
use anyhow::{Context, Result, ensure};
use rustix::fs::{Uid, fchown};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// Where the terminal of a container's first process is sent: libcontainer connects to it by its path.
pub(super) struct Console {
    listener: UnixListener,
}

impl Console {
    /// Listens on the bundle's socket.
    pub(super) fn listen(place: &Place) -> Result<Self> {
        let path = place.console();
        let describe = || format!("cannot listen on {}", path.display());
        // By a short name: the address of a socket has 108 bytes.
        let bundle = File::open(&place.bundle).with_context(describe)?;
        let short = format!("/proc/self/fd/{}/console", bundle.as_raw_fd());
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        bind(&socket, &SocketAddrUnix::new(short)?).with_context(describe)?;
        listen(&socket, 1).with_context(describe)?;
        Ok(Self {
            listener: UnixListener::from(socket),
        })
    }

    /// Takes the terminal, which has been sent when the container is made, and removes the socket.
    pub(super) fn take(self, place: &Place, user: u32) -> Result<OwnedFd> {
        let (sent, _) = self.listener.accept().context("cannot take the terminal")?;
        std::fs::remove_file(place.console()).context("cannot remove the terminal's socket")?;
        receive(&sent, user)
    }
}

/// Receives a terminal that has been sent, and makes its user the owner of what programs open.
pub(super) fn receive(socket: &impl std::os::fd::AsFd, user: u32) -> Result<OwnedFd> {
    let mut received = helper::receive(socket)?;
    ensure!(received.len() == 1, "the container made no terminal");
    let master = received.remove(0);
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).context("cannot open the terminal")?;
    fchown(&slave, Some(Uid::from_raw(user)), None)
        .context("cannot give the terminal to the container's user")?;
    Ok(master)
}
