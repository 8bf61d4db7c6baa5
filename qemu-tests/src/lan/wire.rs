//! An end of a wire: a datagram socket, each datagram a frame, and who has the other end.

use anyhow::{Context, Result, bail};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a pair of ports is looked for.
const ATTEMPTS: usize = 100;

/// The end.
pub enum Wire {
    /// Sockets that are files.
    Unix(UnixDatagram, PathBuf),
    /// Ports of this computer's own.
    Udp(UdpSocket, SocketAddr),
}

impl Wire {
    /// The end that is the file `name` in this directory; the other is `peer`.
    pub fn in_directory(directory: &Path, name: &str, peer: &str) -> Result<Self> {
        let socket = UnixDatagram::bind(directory.join(name))
            .with_context(|| format!("cannot make a socket in {}", directory.display()))?;
        Ok(Self::Unix(socket, directory.join(peer)))
    }

    /// The end that Bochs' cards expect: they receive on a port, which is returned as well, and send to the next.
    pub fn next_to_a_port() -> Result<(Self, u16)> {
        for _ in 0..ATTEMPTS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = socket.local_addr()?.port() - 1;
            if UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
                let peer = (Ipv4Addr::LOCALHOST, port).into();
                return Ok((Self::Udp(socket, peer), port));
            }
        }
        bail!("no two free UDP ports next to each other were found")
    }

    /// The same end for another thread.
    pub fn share(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(socket, peer) => Self::Unix(socket.try_clone()?, peer.clone()),
            Self::Udp(socket, peer) => Self::Udp(socket.try_clone()?, *peer),
        })
    }

    /// Nobody waits longer for a frame.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Unix(socket, _) => socket.set_read_timeout(Some(patience)),
            Self::Udp(socket, _) => socket.set_read_timeout(Some(patience)),
        }
    }

    /// The next frame's length.
    pub fn receive(&self, frame: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket, _) => socket.recv(frame),
            Self::Udp(socket, _) => socket.recv(frame),
        }
    }

    /// Sends a frame. One that nobody takes is lost, as on a wire.
    pub fn send(&self, frame: &[u8]) {
        match self {
            Self::Unix(socket, peer) => drop(socket.send_to(frame, peer)),
            Self::Udp(socket, peer) => drop(socket.send_to(frame, *peer)),
        }
    }
}
