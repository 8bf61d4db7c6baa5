//! The hypervisor's own TCP/IP stack: smoltcp on a port of the switch.
//!
//! It has one IPv4 address, from a DHCP server or as the command line says, if nobody else has it ([`claim`]), IPv6 addresses of the link and by what routers
//! advertise, if nobody else has them ([`v6`]), and answers pings. [`errands`] are what it does by itself. Everything in it is bounded: what waits in either direction, and
//! its neighbours.

pub mod address;
mod claim;
mod decline;
mod device;
mod duplicate;
pub mod errands;
pub mod mdns;
mod mld;
mod ndisc;
mod slaac;
pub mod sntp;
pub mod syslog;
#[cfg(test)]
mod tests;
mod v6;

use crate::Mac;
use crate::nat::arp::Arp;
use crate::nat::wire::{ETHERNET_BYTES, TYPE_ARP, TYPE_IPV4, put_ethernet};
use crate::switch::{Outlet, Refusal};
use address::Setup;
use claim::{Claim, Heard, Message};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use device::Device;
use errands::Errands;
use heapless::Vec as Few;
use hvm::packet::{Packet, Pool};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpOption, EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};
use sntp::WallClock;
use v6::V6;

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

impl Lease {
    /// Whether an address is of the host's network.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        let differing = self.address.to_bits() ^ address.to_bits();
        differing.leading_zeros() >= self.prefix_bits.into()
    }
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

/// What the host was told with its address, for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whom names are asked of.
    pub name_servers: Few<Ipv4Addr, 3>,
    /// The domain's name.
    pub domain: Few<u8, 64>,
    /// Who knows the time.
    pub time_server: Option<Ipv4Addr>,
}

/// What [`Host::poll`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that somebody would have to look at.
    Nothing,
    /// Something came or went on a connection.
    Connections,
}

/// A station that uses the host's address, or the one that it was to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Whose it is, too.
    pub station: Mac,
    /// What the host does about it.
    pub outcome: Outcome,
}

/// What the host does about a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It keeps the address.
    Kept,
    /// It does without, and tries again.
    GivenUp,
    /// It does without, and asks for another instead.
    Replaced,
    /// It does without until the cable is plugged in anew.
    Left,
}

/// Options that a DHCP server is asked for (RFC 2132): netmask, routers, name servers, the domain's name, time servers.
const DHCP_PARAMETERS: &[u8] = &[1, 3, 6, DHCP_DOMAIN, DHCP_TIME_SERVERS];
const DHCP_DOMAIN: u8 = 15;
const DHCP_HOST_NAME: u8 = 12;
const DHCP_TIME_SERVERS: u8 = 42;
/// The longest answer of a server that is looked at.
const DHCP_BYTES: usize = 576;
/// How long after a conflict the host tries again (RFC 2131, 3.1.5).
const TRY_AGAIN_MS: u64 = 10_000;

/// Ports of UDP that the host itself uses: DHCP's client, multicast DNS, the time and the log.
pub const UDP_PORTS: [u16; 4] = [68, mdns::PORT, errands::TIME_PORT, errands::LOG_PORT];

/// The stack.
pub struct Host {
    device: Device,
    interface: Interface,
    sockets: SocketSet<'static>,
    mac: Mac,
    dhcp: Option<SocketHandle>,
    /// The address in use; the one that is to be used, the claim to it, and the DHCP server whose it is.
    lease: Option<Lease>,
    wanted: Option<Lease>,
    claim: Option<Claim>,
    server: Option<Ipv4Addr>,
    /// Who was heard of with the address, since the last turn.
    heard: Heard,
    conflict: Option<Conflict>,
    /// When an address that was somebody else's is tried again.
    again_ms: Option<u64>,
    dice: u64,
    /// What came with it.
    surroundings: Surroundings,
    v6: Option<V6>,
    errands: Errands,
    /// Until then there is nothing to do, if nothing comes and nobody uses it; 0: there may be.
    rests_until_ms: u64,
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
            mac,
            dhcp: None,
            lease: None,
            wanted: None,
            claim: None,
            server: None,
            heard: Heard::Nothing,
            conflict: None,
            again_ms: None,
            dice: seed,
            surroundings: Surroundings::default(),
            v6: None,
            errands: Errands::new(!seed),
            rests_until_ms: 0,
        };
        if setup != Setup::Off {
            host.v6 = Some(V6::new(mac, &mut host.sockets, seed));
        }
        match setup {
            Setup::Dhcp => {
                let mut socket = dhcpv4::Socket::new();
                let mut retry = dhcpv4::RetryConfig::default();
                // RFC 2131, 4.1: four seconds.
                retry.discover_timeout = Duration::from_secs(4);
                socket.set_retry_config(retry);
                socket.set_parameter_request_list(DHCP_PARAMETERS);
                socket.set_receive_packet_buffer(alloc::vec![0; DHCP_BYTES].leak());
                host.dhcp = Some(host.sockets.add(socket));
            }
            Setup::Static(fixed) => {
                host.surroundings.name_servers = fixed.name_servers.into_iter().flatten().collect();
                let lease = Lease {
                    address: fixed.address,
                    prefix_bits: fixed.prefix_bits,
                    gateway: fixed.gateway,
                };
                // Asked for when there is a cable to ask on.
                host.wanted = Some(lease);
            }
            Setup::Off => {}
        }
        host
    }

    /// The host's address.
    pub fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// Somebody else has the address, as was found since this was last asked.
    pub fn take_conflict(&mut self) -> Option<Conflict> {
        self.conflict.take()
    }

    /// What it was told with its address.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The cable was plugged in again, perhaps elsewhere: a lease is asked for anew, and routers.
    pub fn link_came_up(&mut self, now_ms: u64) {
        self.wake();
        if let Some(v6) = &mut self.v6 {
            v6.restart(now_ms);
            v6.settle(&mut self.interface);
        }
        match &mut self.claim {
            Some(claim) if claim.is_won() => claim.announce(now_ms),
            // Questions that went nowhere were none.
            _ if self.dhcp.is_none() => {
                self.claim = None;
                self.want(self.wanted, now_ms);
            }
            _ => {}
        }
        if let Some(dhcp) = self.dhcp {
            self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).reset();
        }
    }

    /// Works with what has come, until there is nothing more to do now.
    pub fn poll(&mut self, now_ms: u64) -> News {
        if now_ms < self.rests_until_ms {
            return News::Nothing;
        }
        let result = self
            .interface
            .poll(instant(now_ms), &mut self.device, &mut self.sockets);
        self.look_at_lease(now_ms);
        self.attend_claim(now_ms);
        self.attend_v6(now_ms);
        if self.errands.run(&self.interface, &mut self.sockets, now_ms) {
            self.interface
                .poll(instant(now_ms), &mut self.device, &mut self.sockets);
        }
        match result {
            PollResult::None => News::Nothing,
            PollResult::SocketStateChanged => News::Connections,
        }
    }

    /// Its IPv6 addresses.
    pub fn v6_addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        let addresses = self.interface.ip_addrs().iter();
        addresses.filter_map(|cidr| match cidr {
            IpCidr::Ipv6(cidr) => Some(cidr.address()),
            IpCidr::Ipv4(_) => None,
        })
    }

    /// Its name from now on, on the link and to a DHCP server: what of `name` may be one.
    pub fn introduce(&mut self, name: &str) {
        self.wake();
        let Some(name) = mdns::Name::of(name).filter(|_| self.v6.is_some()) else {
            return;
        };
        if let Some(dhcp) = self.dhcp {
            let option = DhcpOption {
                kind: DHCP_HOST_NAME,
                data: alloc::vec::Vec::from(name.as_str()).leak(),
            };
            self.sockets
                .get_mut::<dhcpv4::Socket<'_>>(dhcp)
                .set_outgoing_options(alloc::vec![option].leak());
        }
        self.errands
            .introduce(name, &mut self.interface, &mut self.sockets);
    }

    /// Its name.
    pub fn name(&self) -> Option<&mdns::Name> {
        self.errands.name()
    }

    /// A server that knows the time. The first one that is named is asked.
    pub fn ask_time_of(&mut self, server: IpAddr) {
        self.wake();
        self.errands.ask_time_of(server, &mut self.sockets);
    }

    /// The wall clock, once a server told it.
    pub fn clock(&self) -> Option<WallClock> {
        self.errands.clock()
    }

    /// A server that takes the log.
    pub fn log_to(&mut self, server: SocketAddr) {
        self.wake();
        self.errands.log_to(server, &mut self.sockets);
    }

    /// Whether a line of the log would be taken and sent now.
    pub fn takes_lines(&self) -> bool {
        self.lease.is_some() && self.errands.takes_lines(&self.sockets)
    }

    /// A line of the log, written `age_ms` ago.
    pub fn log(&mut self, severity: syslog::Severity, text: &str, age_ms: u64, now_ms: u64) {
        self.wake();
        self.errands
            .log(severity, text, age_ms, &mut self.sockets, now_ms);
    }

    /// A socket for TCP with these buffers, for good.
    pub fn add_tcp(&mut self, receive_bytes: usize, send_bytes: usize) -> SocketHandle {
        self.wake();
        let buffer = |bytes| tcp::SocketBuffer::new(alloc::vec![0; bytes]);
        self.sockets
            .add(tcp::Socket::new(buffer(receive_bytes), buffer(send_bytes)))
    }

    /// That socket.
    pub fn tcp(&mut self, socket: SocketHandle) -> &mut tcp::Socket<'static> {
        self.wake();
        self.sockets.get_mut(socket)
    }

    /// Begins a connection.
    #[cfg(test)]
    pub(crate) fn connect(&mut self, socket: SocketHandle, to: SocketAddr, from_port: u16) {
        self.wake();
        let context = self.interface.context();
        self.sockets
            .get_mut::<tcp::Socket<'_>>(socket)
            .connect(context, to, from_port)
            .unwrap();
    }

    /// When it wants to be polled without anything having come, in milliseconds from `now_ms`.
    pub fn next_ms(&mut self, now_ms: u64) -> Option<u64> {
        if now_ms >= self.rests_until_ms {
            let wait_ms = self.work_ms(now_ms).unwrap_or(u64::MAX);
            self.rests_until_ms = now_ms.saturating_add(wait_ms);
        }
        match self.rests_until_ms {
            u64::MAX => None,
            until_ms => Some(until_ms.saturating_sub(now_ms)),
        }
    }

    /// When there is work without anything having come.
    fn work_ms(&mut self, now_ms: u64) -> Option<u64> {
        let stack = self
            .interface
            .poll_delay(instant(now_ms), &self.sockets)
            .map(|delay| delay.total_millis());
        let v6 = self.v6.as_ref().and_then(|v6| v6.next_ms(now_ms));
        let errands = self.errands.next_ms(now_ms);
        let claim = self.claim.as_ref().and_then(|claim| claim.next_ms(now_ms));
        let again = self.again_ms.map(|at_ms| at_ms.saturating_sub(now_ms));
        let own = claim.into_iter().chain(again);
        own.chain(stack).chain(v6).chain(errands).min()
    }

    /// Whether there may be something for [`Host::poll`].
    #[inline]
    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.rests_until_ms
    }

    /// There may be work: something has come, or somebody uses it.
    fn wake(&mut self) {
        self.rests_until_ms = 0;
    }

    /// The next frame to send.
    pub fn take(&mut self) -> Option<Packet> {
        self.device.take()
    }

    fn attend_v6(&mut self, now_ms: u64) {
        let Some(v6) = &mut self.v6 else {
            return;
        };
        let turn = v6.attend(&mut self.device, &mut self.sockets, now_ms);
        if turn.is_news {
            v6.settle(&mut self.interface);
        }
        self.conflict = turn.conflict.or(self.conflict);
    }

    fn look_at_lease(&mut self, now_ms: u64) {
        let Some(dhcp) = self.dhcp else { return };
        let (lease, surroundings) = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => (None, Surroundings::default()),
            Some(dhcpv4::Event::Configured(given)) => {
                self.server = Some(given.server.identifier);
                let lease = Lease {
                    address: given.address.address(),
                    prefix_bits: given.address.prefix_len(),
                    gateway: given.router,
                };
                let packet = given.packet.as_ref();
                let option = |wanted| {
                    let mut options = packet.into_iter().flat_map(|packet| packet.options());
                    options
                        .find(|option| option.kind == wanted)
                        .map(|option| option.data)
                };
                let clock = option(DHCP_TIME_SERVERS).and_then(|clocks| clocks.first_chunk::<4>());
                let domain = option(DHCP_DOMAIN).unwrap_or(&[]);
                let surroundings = Surroundings {
                    name_servers: given.dns_servers.iter().copied().take(3).collect(),
                    // One that is too long is no name.
                    domain: Few::from_slice(domain).unwrap_or_default(),
                    time_server: clock.map(|clock| Ipv4Addr::from(*clock)),
                };
                (Some(lease), surroundings)
            }
        };
        self.want(lease, now_ms);
        if let Some(clock) = surroundings.time_server {
            self.ask_time_of(clock.into());
        }
        self.surroundings = surroundings;
    }

    /// This is to be the address, unless somebody else has it. One that is the host's already is used as it is now given.
    fn want(&mut self, lease: Option<Lease>, now_ms: u64) {
        self.wanted = lease;
        let Some(lease) = lease else {
            self.claim = None;
            self.again_ms = None;
            return self.settle_at(None);
        };
        match &self.claim {
            Some(claim) if claim.address() == lease.address => {
                if claim.is_won() {
                    self.settle_at(Some(lease));
                }
            }
            _ => {
                self.settle_at(None);
                self.again_ms = None;
                self.heard = Heard::Nothing;
                // Knuth's multiplier (MMIX), so that another try comes at another moment.
                self.dice = self.dice.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
                self.claim = Some(Claim::new(self.mac, lease.address, self.dice, now_ms));
            }
        }
    }

    /// Asks and tells the link whose the address is, and heeds who says that it is theirs.
    fn attend_claim(&mut self, now_ms: u64) {
        if self.again_ms.is_some_and(|at_ms| now_ms >= at_ms) {
            self.again_ms = None;
            match self.dhcp {
                Some(dhcp) => self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).reset(),
                None => self.want(self.wanted, now_ms),
            }
        }
        match core::mem::replace(&mut self.heard, Heard::Nothing) {
            Heard::Taken(station) => self.give_up(station, now_ms),
            Heard::Challenged(station) => {
                let claim = self.claim.as_ref();
                match claim.is_some_and(|claim| claim.is_young(now_ms)) {
                    true => self.give_up(station, now_ms),
                    false => self.defend(station, now_ms),
                }
            }
            Heard::Nothing => {}
        }
        let Some(claim) = &mut self.claim else {
            return;
        };
        let address = claim.address();
        while let Some(message) = claim.speak(now_ms) {
            let sender = match message {
                Message::Probe => Ipv4Addr::UNSPECIFIED,
                Message::Announcement => address,
            };
            let own = (self.mac, sender);
            self.device
                .post(|packet| Arp::write(packet, own, None, address));
        }
        if claim.is_won() && self.lease != self.wanted {
            self.settle_at(self.wanted);
        }
    }

    /// The address is somebody else's: its server is told, and asked for another one later, or the same address is tried again.
    fn give_up(&mut self, station: Mac, now_ms: u64) {
        let Some(claim) = self.claim.take() else {
            return;
        };
        let address = claim.address();
        self.conflict = Some(Conflict {
            address: address.into(),
            station,
            outcome: Outcome::GivenUp,
        });
        self.again_ms = Some(now_ms + TRY_AGAIN_MS);
        self.settle_at(None);
        if let Some(server) = self.server.filter(|_| self.dhcp.is_some()) {
            let refusal = decline::packet(self.mac, address, server, (self.dice >> 32) as u32);
            let own = self.mac;
            self.device.post(|packet| {
                packet.set_len(ETHERNET_BYTES + refusal.len());
                if let Some(payload) = packet.frame_mut().get_mut(ETHERNET_BYTES..) {
                    payload.copy_from_slice(&refusal);
                    put_ethernet(packet.frame_mut(), Mac([0xff; 6]), own, TYPE_IPV4);
                }
            });
        }
    }

    fn defend(&mut self, station: Mac, now_ms: u64) {
        let Some(claim) = &mut self.claim else {
            return;
        };
        if claim.defend(now_ms) {
            self.conflict = Some(Conflict {
                address: claim.address().into(),
                station,
                outcome: Outcome::Kept,
            });
        }
    }

    fn settle_at(&mut self, lease: Option<Lease>) {
        self.lease = lease;
        self.interface.update_ip_addrs(|addresses| {
            addresses.retain(|address| matches!(address, IpCidr::Ipv6(_)));
            if let Some(lease) = lease {
                let cidr = Ipv4Cidr::new(lease.address, lease.prefix_bits);
                // IPv6 leaves room for one.
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
        self.wake();
        let frame = packet.frame();
        if let Some(claim) = &self.claim
            && frame.get(12..14) == Some(&TYPE_ARP.to_be_bytes())
            && let Some(arp) = Arp::read(frame)
            && let heard @ (Heard::Taken(_) | Heard::Challenged(_)) = claim.hear(&arp)
        {
            self.heard = heard;
        }
        if let Some(v6) = &mut self.v6 {
            v6.note(frame);
        }
        self.device.put(packet).map_err(Refusal::Later)
    }
}

fn instant(now_ms: u64) -> Instant {
    Instant::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX))
}
