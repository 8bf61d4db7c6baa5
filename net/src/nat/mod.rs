//! A router with address translation, for guests behind a host with one address (RFC 4787, RFC 5382, RFC 5508).
//!
//! Cards of the guest that are not bridged share a network of their own, 24 bits of it. There the router is DHCP server, name server and
//! the way out: TCP, UDP and pings leave with the host's address and a port of the router's choice. Its two sides are queues: [`Router::ends`]
//! are what the switch hands frames to, [`Router::work`] looks at them, and [`Router::take`] gives what it sends. Checksums that somebody
//! else computes, and frames that somebody else cuts, stay so. Nothing is allocated for a packet, and whoever sends what costs a bounded time.
//!
//! What it does not do: IPv6, other protocols, cutting of packets that are too long (their senders are told), and fragments that
//! come before their first.

pub(crate) mod arp;
mod departure;
mod dhcp;
mod flows;
pub mod forward;
mod fragments;
mod icmp;
mod index;
mod leases;
mod names;
mod reception;
#[cfg(test)]
mod tests;
mod translation;
pub(crate) mod wire;

pub use dhcp::MAX_CARDS;
pub use flows::MAX_FORWARDS;
pub use wire::Protocol;

use crate::Mac;
use crate::host::{Lease, Surroundings};
use crate::switch::{Outlet, Refusal};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use arp::Stations;
use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};
use dhcp::Server;
use flows::Flows;
use forward::Forward;
use fragments::Fragments;
use hvm::packet::{Packet, Pool};

/// Frames that wait on one side, in each direction.
const QUEUE_FRAMES: usize = 64;
/// The longest packet that the outside carries, if it is not cut.
pub const MTU_BYTES: u16 = 1500;

/// The network inside where nothing else is said: one that is unlikely to be the one outside as well.
pub const DEFAULT_GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 86, 2);

/// The router's address in the network of a guest's: its first, or if that is the guest's, its last.
pub fn router_for(guest: Ipv4Addr) -> Ipv4Addr {
    let first = dhcp::in_network(guest, 1);
    match guest == first {
        true => dhcp::in_network(guest, 254),
        false => first,
    }
}

/// What never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Cards inside, with their addresses, all in one network of 24 bits.
    pub cards: Vec<(Mac, Ipv4Addr)>,
    /// Ports that lead to an address inside.
    pub forwards: Vec<(Forward, Ipv4Addr)>,
    /// Ports of the host's own.
    pub reserved: Vec<(Protocol, u16)>,
    /// The guest's name.
    pub name: String,
    /// What guests are told of the longest packet.
    pub mtu_bytes: u16,
}

/// The host's address, and what it was told with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// The address.
    pub lease: Lease,
    /// The rest.
    pub told: Surroundings,
}

impl Outside {
    /// Where a packet to `to` goes next.
    fn next_hop(&self, to: Ipv4Addr) -> Option<Ipv4Addr> {
        match self.lease.has(to) {
            true => Some(to),
            false => self.lease.gateway,
        }
    }
}

/// A side of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The guests'.
    Inside,
    /// The host's, as whom it speaks there.
    Outside,
}

/// What the router has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets out.
    pub out: u64,
    /// Packets in.
    pub r#in: u64,
    /// Packets of the guest's that go nowhere: malformed, of addresses that are not its, or for nobody.
    pub refused: u64,
    /// Packets that found no room, no port or no buffer.
    pub lost: u64,
}

/// Where the switch puts frames for the router.
#[derive(Default)]
pub struct Inlet(VecDeque<Packet>);

impl Outlet for Inlet {
    fn send(&mut self, packet: Packet) -> Result<(), Refusal> {
        if self.0.len() >= QUEUE_FRAMES {
            return Err(Refusal::Later(packet));
        }
        self.0.push_back(packet);
        Ok(())
    }
}

/// The router.
pub struct Router {
    setup: Setup,
    own: (Mac, Ipv4Addr),
    outside_mac: Mac,
    outside: Option<Outside>,
    /// The address that the host has, or had last.
    last: Option<Ipv4Addr>,
    pool: &'static Pool,
    inlets: (Inlet, Inlet),
    outlets: (VecDeque<Packet>, VecDeque<Packet>),
    near: Stations,
    far: Stations,
    server: Server,
    flows: Flows,
    leaving: Fragments,
    arriving: Fragments,
    /// Which name server is asked.
    name_server: usize,
    counters: Counters,
    /// The second, and errors told in it.
    told: (u64, u32),
}

impl Router {
    /// For a host with this MAC address. Packets of its own come out of `pool`; `seed` is what nobody can guess. Forwards of ports that are
    /// reserved, or led elsewhere, have no effect: the configuration says so before.
    pub fn new(setup: Setup, host: Mac, pool: &'static Pool, seed: u64) -> Self {
        let guest = setup
            .cards
            .first()
            .map_or(DEFAULT_GUEST, |(_, address)| *address);
        let own = free_router(guest, &setup.cards);
        let mut server = Server::default();
        for (mac, address) in &setup.cards {
            server.add(*mac, *address);
        }
        let mut flows = Flows::new(setup.reserved.clone(), seed);
        for (forward, to) in &setup.forwards {
            let inside = SocketAddrV4::new(*to, forward.inside_port);
            // See above.
            let _ = flows.forward(forward.protocol, forward.outside_port, inside);
        }
        Self {
            own: (inner_mac(host), own),
            outside_mac: host,
            outside: None,
            last: None,
            pool,
            inlets: Default::default(),
            outlets: Default::default(),
            near: Stations::default(),
            far: Stations::default(),
            server,
            flows,
            leaving: Fragments::default(),
            arriving: Fragments::default(),
            name_server: 0,
            counters: Counters::default(),
            told: (0, 0),
            setup,
        }
    }

    /// Its MAC address inside.
    pub fn mac(&self) -> Mac {
        self.own.0
    }

    /// Its address inside.
    pub fn address(&self) -> Ipv4Addr {
        self.own.1
    }

    /// Whether an address is inside.
    pub fn is_inside(&self, address: Ipv4Addr) -> bool {
        dhcp::in_network(address, 0) == dhcp::in_network(self.own.1, 0)
    }

    /// The host's address, as it was told last.
    pub fn outside(&self) -> Option<&Outside> {
        self.outside.as_ref()
    }

    /// The host's ports that lead inside, and to whom.
    pub fn forwards(&self) -> impl Iterator<Item = &(Forward, Ipv4Addr)> {
        self.setup.forwards.iter()
    }

    /// What it has done, and how many conversations there are.
    pub fn counters(&self) -> (Counters, usize) {
        (self.counters, self.flows.count())
    }

    /// The host has this address now. With another one all conversations are over; while it has none they wait, for it most often has the
    /// same again, as behind a cable that was pulled.
    pub fn set_outside(&mut self, outside: Option<Outside>) {
        let address =
            |outside: &Option<Outside>| outside.as_ref().map(|outside| outside.lease.address);
        if address(&outside) != address(&self.outside) {
            self.leaving.clear();
            self.arriving.clear();
        }
        if let Some(new) = address(&outside)
            && self.last.replace(new) != Some(new)
        {
            self.flows.clear();
        }
        if outside != self.outside {
            self.far.clear();
            self.name_server = 0;
        }
        self.outside = outside;
    }

    /// Where frames for the outside and the inside are put.
    pub fn ends(&mut self) -> (&mut Inlet, &mut Inlet) {
        (&mut self.inlets.1, &mut self.inlets.0)
    }

    /// The next frame that it sends to a side.
    pub fn take(&mut self, face: Face) -> Option<Packet> {
        match face {
            Face::Inside => self.outlets.0.pop_front(),
            Face::Outside => self.outlets.1.pop_front(),
        }
    }

    /// Looks at what came. What is the host's goes to `host`; it is lost if it is refused.
    pub fn work(&mut self, host: &mut dyn Outlet, now_ms: u64) {
        self.flows.expire(now_ms);
        if self.told.0 != now_ms / 1000 {
            self.told = (now_ms / 1000, 0);
            self.near.give_up(now_ms);
            self.far.give_up(now_ms);
        }
        while let Some(packet) = self.inlets.1.0.pop_front() {
            if let Some(packet) = self.hear_network(packet, now_ms)
                && host.send(packet).is_err()
            {
                self.counters.lost += 1;
            }
        }
        // What finds no room outside waits inside, and its sender with it.
        while self.outlets.1.len() < QUEUE_FRAMES
            && let Some(packet) = self.inlets.0.0.pop_front()
        {
            self.hear_guest(packet, now_ms);
        }
    }

    /// Whether frames of guests wait.
    pub fn is_crowded(&self) -> bool {
        !self.inlets.0.0.is_empty()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            out,
            r#in,
            refused,
            lost,
        } = self;
        write!(
            f,
            "{out} packets out, {in} in, {refused} refused, {lost} lost"
        )
    }
}

/// The router's address among these cards.
fn free_router(guest: Ipv4Addr, cards: &[(Mac, Ipv4Addr)]) -> Ipv4Addr {
    let is_free = |address: &Ipv4Addr| cards.iter().all(|(_, card)| card != address);
    let ends = [router_for(guest), dhcp::in_network(guest, 254)];
    let all = (2..254).rev().map(|number| dhcp::in_network(guest, number));
    ends.into_iter().chain(all).find(is_free).unwrap_or(ends[0])
}

/// The host's address with the bit of local administration changed, so that the two are never taken for each other.
fn inner_mac(host: Mac) -> Mac {
    let [first, rest @ ..] = host.0;
    let [a, b, c, d, e] = rest;
    Mac([first ^ 0x02, a, b, c, d, e])
}
