//! The hypervisor's own TCP/IP stack: smoltcp on a port of the switch.
//!
//! It has one IPv4 address, from a DHCP server or as the command line says, and answers pings. Everything in it is bounded: what
//! waits in either direction, and its neighbours. **There is no IPv6 yet.**

pub mod address;
mod device;
#[cfg(test)]
mod tests;

use crate::Mac;
use crate::switch::{Outlet, Refusal};
use address::Setup;
use core::fmt;
use core::net::Ipv4Addr;
use device::Device;
use hvm::packet::{Packet, Pool};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

/// The host's address at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its own.
    pub address: Ipv4Addr,
    /// How many of its leading bits are the network's.
    pub prefix_bits: u8,
    /// The way to everywhere else.
    pub gateway: Option<Ipv4Addr>,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)?;
        match self.gateway {
            Some(gateway) => write!(f, " by {gateway}"),
            None => Ok(()),
        }
    }
}

/// What [`Host::poll`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that somebody would have to look at.
    Nothing,
    /// Something came or went on a connection.
    Connections,
}

/// The stack.
pub struct Host {
    device: Device,
    interface: Interface,
    sockets: SocketSet<'static>,
    dhcp: Option<SocketHandle>,
    lease: Option<Lease>,
}

impl Host {
    /// A stack with this address on Ethernet, at `now_ms`, a time that never goes back. `seed` is what nobody can guess.
    pub fn new(mac: Mac, setup: Setup, pool: &'static Pool, seed: u64, now_ms: u64) -> Self {
        let mut device = Device::new(pool);
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac.0)));
        config.random_seed = seed;
        let interface = Interface::new(config, &mut device, instant(now_ms));
        let mut host = Self {
            device,
            interface,
            sockets: SocketSet::new(alloc::vec![]),
            dhcp: None,
            lease: None,
        };
        match setup {
            Setup::Dhcp => {
                let mut socket = dhcpv4::Socket::new();
                let mut retry = dhcpv4::RetryConfig::default();
                // RFC 2131, 4.1: four seconds.
                retry.discover_timeout = Duration::from_secs(4);
                socket.set_retry_config(retry);
                host.dhcp = Some(host.sockets.add(socket));
            }
            Setup::Static(fixed) => host.settle_at(Some(Lease {
                address: fixed.address,
                prefix_bits: fixed.prefix_bits,
                gateway: fixed.gateway,
            })),
            Setup::Off => {}
        }
        host
    }

    /// The host's address.
    pub fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// The cable was plugged in again, perhaps elsewhere: a lease is asked for anew.
    pub fn link_came_up(&mut self) {
        if let Some(dhcp) = self.dhcp {
            self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).reset();
        }
    }

    /// Works with what has come, until there is nothing more to do now.
    pub fn poll(&mut self, now_ms: u64) -> News {
        let result = self
            .interface
            .poll(instant(now_ms), &mut self.device, &mut self.sockets);
        self.look_at_lease();
        match result {
            PollResult::None => News::Nothing,
            PollResult::SocketStateChanged => News::Connections,
        }
    }

    /// A socket for TCP with these buffers, for good.
    pub fn add_tcp(&mut self, receive_bytes: usize, send_bytes: usize) -> SocketHandle {
        let buffer = |bytes| tcp::SocketBuffer::new(alloc::vec![0; bytes]);
        self.sockets
            .add(tcp::Socket::new(buffer(receive_bytes), buffer(send_bytes)))
    }

    /// That socket.
    pub fn tcp(&mut self, socket: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(socket)
    }

    /// When it wants to be polled without anything having come, in milliseconds from `now_ms`.
    pub fn next_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.interface
            .poll_delay(instant(now_ms), &self.sockets)
            .map(|delay| delay.total_millis())
    }

    /// The next frame to send.
    pub fn take(&mut self) -> Option<Packet> {
        self.device.take()
    }

    fn look_at_lease(&mut self) {
        let Some(dhcp) = self.dhcp else { return };
        let lease = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(given)) => Some(Lease {
                address: given.address.address(),
                prefix_bits: given.address.prefix_len(),
                gateway: given.router,
            }),
        };
        self.settle_at(lease);
    }

    fn settle_at(&mut self, lease: Option<Lease>) {
        self.lease = lease;
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some(lease) = lease {
                let cidr = Ipv4Cidr::new(lease.address, lease.prefix_bits);
                // There was room for one: the list was just cleared.
                let _ = addresses.push(IpCidr::Ipv4(cidr));
            }
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = lease.and_then(|lease| lease.gateway) {
            // As above.
            let _ = routes.add_default_ipv4_route(gateway);
        }
    }
}

impl Outlet for Host {
    /// A long frame comes whole: the stack takes segments of any length.
    fn send(&mut self, mut packet: Packet) -> Result<(), Refusal> {
        if !packet.finish_checksum() {
            return Err(Refusal::Never);
        }
        self.device.put(packet).map_err(Refusal::Later)
    }
}

fn instant(now_ms: u64) -> Instant {
    Instant::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX))
}
