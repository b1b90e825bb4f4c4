//! A terminal on its way to the server. libcontainer creates it inside the container and sends its master side over a
//! socket. The helper makes the container's user the owner and sends the terminal on.

use crate::helper;
use crate::request::Location;
use anyhow::{Context, Result, ensure};
use rustix::fs::{Uid, fchown};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// The socket that receives the terminal of a container's first process. libcontainer connects to its path.
pub(super) struct Console {
    listener: UnixListener,
}

impl Console {
    /// Listens on the bundle's socket.
    pub(super) fn listen(location: &Location) -> Result<Self> {
        let path = location.console();
        let describe = || format!("cannot listen on {}", path.display());
        // A short path, because the address of a socket is limited to 108 bytes.
        let bundle = File::open(&location.bundle).with_context(describe)?;
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

    /// Takes the terminal, which libcontainer sent while it created the container, and removes the socket.
    pub(super) fn take(self, location: &Location, user: u32) -> Result<OwnedFd> {
        let (sent, _) = self
            .listener
            .accept()
            .context("cannot receive the terminal")?;
        std::fs::remove_file(location.console()).context("cannot remove the terminal's socket")?;
        receive(&sent, user)
    }
}

/// Receives a terminal, and makes the process's user the owner of the side that programs open.
pub(super) fn receive(socket: &impl std::os::fd::AsFd, user: u32) -> Result<OwnedFd> {
    let mut received = helper::receive(socket)?;
    ensure!(received.len() == 1, "the container sent no terminal");
    let master = received.remove(0);
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).context("cannot open the terminal")?;
    fchown(&slave, Some(Uid::from_raw(user)), None)
        .context("cannot give the terminal to the container's user")?;
    Ok(master)
}
