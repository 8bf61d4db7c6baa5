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
mod dhcp;
mod flows;
pub mod forward;
mod fragments;
mod icmp;
mod index;
#[cfg(test)]
mod tests;
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
use arp::{Arp, Ask, Stations, Way};
use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};
use dhcp::{LONGEST_BYTES, Server, Terms};
use flows::{Direction, Flags, Flow, Flows};
use forward::Forward;
use fragments::{Fragments, Key};
use hvm::checksum;
use hvm::packet::{Checksum, Packet, PartialChecksum, Pool};
use icmp::Trouble;
use wire::{
    ECHO, ETHERNET_BYTES, Ends, Header, ICMP, IPV4_BYTES, Side, Sum, TYPE_ARP, TYPE_IPV4, UDP,
};
use wire::{put_ethernet, put_ipv4, set_address, set_end, spend_hop, sum_of};

/// Frames that wait on one side, in each direction.
const QUEUE_FRAMES: usize = 64;
/// The longest packet that the outside carries, if it is not cut.
pub const MTU_BYTES: u16 = 1500;
const NAME_PORT: u16 = 53;
/// Questions without an answer after which another server is asked.
const PATIENCE_QUESTIONS: u8 = 2;
/// Errors that are told in a second.
const TOLD_IN_A_SECOND: u32 = 100;
const UDP_BYTES: usize = 8;
/// Where a TCP header's flags are.
const FLAGS_AT: usize = 13;

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

    /// The host has this address now. With another one all conversations are over.
    pub fn set_outside(&mut self, outside: Option<Outside>) {
        let address =
            |outside: &Option<Outside>| outside.as_ref().map(|outside| outside.lease.address);
        if address(&outside) != address(&self.outside) {
            self.flows.clear();
            self.leaving.clear();
            self.arriving.clear();
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

    fn hear_guest(&mut self, mut packet: Packet, now_ms: u64) {
        let frame = packet.frame();
        let Some((to, from, kind)) = ethernet(frame) else {
            return self.refuse();
        };
        match kind {
            TYPE_ARP => self.hear_inside(packet, now_ms),
            TYPE_IPV4 => {
                let Some(header) = Header::read(&frame[ETHERNET_BYTES..]) else {
                    return self.refuse();
                };
                if is_for_server(frame, &header) && (to.is_group() || to == self.own.0) {
                    return self.serve(packet, &header, now_ms);
                }
                // A group's packets stay where they are.
                if to != self.own.0 {
                    return;
                }
                if !self.may_send(header.source) {
                    return self.refuse();
                }
                let waiting = self.near.meet(header.source, from, now_ms);
                self.deliver_waiting(waiting, from);
                let Some(sum) = sum_of(&mut packet, &header) else {
                    return self.refuse();
                };
                self.route_out(packet, &header, sum, now_ms);
            }
            // IPv6 and others: there is no way out for them.
            _ => {}
        }
    }

    /// Gives back what is the host's, or what it is to hear as well.
    fn hear_network(&mut self, mut packet: Packet, now_ms: u64) -> Option<Packet> {
        let frame = packet.frame();
        let Some((_, _, kind)) = ethernet(frame) else {
            return Some(packet);
        };
        if kind == TYPE_ARP {
            self.hear_outside(&packet, now_ms);
            return Some(packet);
        }
        let header = Header::read(&frame[ETHERNET_BYTES..]);
        let own = self.outside.as_ref().map(|outside| outside.lease.address);
        match (kind, header) {
            (TYPE_IPV4, Some(header)) if Some(header.destination) == own => {
                match sum_of(&mut packet, &header) {
                    Some(sum) => self.route_in(packet, &header, sum, now_ms),
                    None => Some(packet),
                }
            }
            _ => Some(packet),
        }
    }

    /// Whether somebody inside may have an address.
    fn may_send(&self, source: Ipv4Addr) -> bool {
        self.is_inside(source) && source != self.own.1 && !matches!(source.octets()[3], 0 | 255)
    }

    fn hear_inside(&mut self, packet: Packet, now_ms: u64) {
        let Some(Arp {
            is_request,
            sender: (mac, address),
            target,
        }) = Arp::read(packet.frame())
        else {
            return self.refuse();
        };
        if self.may_send(address) {
            let waiting = self.near.heard(address, mac, now_ms);
            self.deliver_waiting(waiting, mac);
        }
        if is_request && target == self.own.1 {
            self.speak(Face::Inside, Some(mac), address);
        }
    }

    fn hear_outside(&mut self, packet: &Packet, now_ms: u64) {
        let Some(arp) = Arp::read(packet.frame()) else {
            return;
        };
        let (mac, address) = arp.sender;
        let waiting = self.far.heard(address, mac, now_ms);
        for mut packet in waiting {
            put_ethernet(packet.frame_mut(), mac, self.outside_mac, TYPE_IPV4);
            self.push_out(packet);
        }
    }

    /// Says or asks who has an address.
    fn speak(&mut self, face: Face, to: Option<Mac>, address: Ipv4Addr) {
        let own = match (face, &self.outside) {
            (Face::Inside, _) => self.own,
            (Face::Outside, Some(outside)) => (self.outside_mac, outside.lease.address),
            (Face::Outside, None) => return,
        };
        let Some(mut packet) = self.pool.packet() else {
            self.counters.lost += 1;
            return;
        };
        Arp::write(&mut packet, own, to, address);
        match face {
            Face::Inside => self.push_in(packet),
            Face::Outside => self.push_out(packet),
        }
    }

    /// A packet of the guest's.
    fn route_out(&mut self, mut packet: Packet, header: &Header, sum: Sum, now_ms: u64) {
        if header.destination == self.own.1 {
            return self.visit(packet, header, sum, now_ms);
        }
        if !is_reachable(header.destination) || self.is_inside(header.destination) {
            return self.refuse();
        }
        if header.time_to_live <= 1 {
            return self.tell(Trouble::TooOld, &packet, header);
        }
        let is_too_long =
            packet.offload().segmentation.is_none() && header.total_bytes > MTU_BYTES.into();
        if is_too_long {
            return self.tell(
                Trouble::TooLong {
                    most_bytes: MTU_BYTES,
                },
                &packet,
                header,
            );
        }
        let outside = self.outside.as_ref();
        let way = outside.filter(|outside| outside.next_hop(header.destination).is_some());
        let Some(own) = way.map(|outside| outside.lease.address) else {
            return self.tell(Trouble::NoWay, &packet, header);
        };
        spend_hop(&mut packet.frame_mut()[ETHERNET_BYTES..]);
        if header.fragment_offset != 0 {
            return match self.leaving.find(key(header), now_ms) {
                Some((source, destination)) => {
                    let bytes = &mut packet.frame_mut()[ETHERNET_BYTES..];
                    set_address(bytes, Side::Source, source);
                    set_address(bytes, Side::Destination, destination);
                    self.send_out(packet, destination, now_ms);
                }
                None => self.refuse(),
            };
        }
        let bytes = &packet.frame()[ETHERNET_BYTES..];
        if header.protocol == ICMP && bytes.get(header.bytes) != Some(&ECHO) {
            return self.error_out(packet, header, own, now_ms);
        }
        let Some(ends) = Ends::of(bytes, header)
            .filter(|ends| ends.source.port() != 0 || ends.protocol == Protocol::Echo)
        else {
            return self.tell(Trouble::NoPort, &packet, header);
        };
        if header.destination == own && !self.flows.has_port(ends.protocol, ends.destination.port())
        {
            // The host's own consoles are for those outside.
            return self.tell(Trouble::NoPort, &packet, header);
        }
        self.translate_out(packet, header, &ends, ends.destination, sum, now_ms);
    }

    /// A packet for the router itself.
    fn visit(&mut self, mut packet: Packet, header: &Header, sum: Sum, now_ms: u64) {
        let bytes = &packet.frame()[ETHERNET_BYTES..];
        let kind = bytes.get(header.bytes).copied();
        if header.protocol == ICMP {
            if kind == Some(ECHO) && !header.is_fragment() && sum == Sum::Whole {
                icmp::answer_echo(&mut packet.frame_mut()[ETHERNET_BYTES..], header);
                let to = header.source;
                self.send_in(packet, to, now_ms);
            }
            return;
        }
        let ends = Ends::of(bytes, header)
            .filter(|ends| header.fragment_offset == 0 && ends.source.port() != 0);
        match (ends, self.next_name_server(ends.as_ref())) {
            (Some(ends), Some(server)) if ends.destination.port() == NAME_PORT => {
                if header.time_to_live > 1 {
                    spend_hop(&mut packet.frame_mut()[ETHERNET_BYTES..]);
                }
                self.translate_out(
                    packet,
                    header,
                    &ends,
                    SocketAddrV4::new(server, NAME_PORT),
                    sum,
                    now_ms,
                );
            }
            _ => self.tell(Trouble::NoPort, &packet, header),
        }
    }

    /// Whom to ask for names: another one if that one keeps silent.
    fn next_name_server(&mut self, ends: Option<&Ends>) -> Option<Ipv4Addr> {
        let ends = ends?;
        let count = self.outside.as_ref()?.told.name_servers.len();
        if let Some(slot) = self
            .flows
            .of_inside(ends.protocol, ends.source, ends.destination)
            && let Some(flow) = self.flows.get(slot)
            && flow.unanswered >= PATIENCE_QUESTIONS
            && count > 1
        {
            let asked = *flow.remote.ip();
            self.flows.remove(slot);
            if self.name_server_now() == Some(asked) {
                self.name_server = (self.name_server + 1) % count;
            }
        }
        self.name_server_now()
    }

    fn name_server_now(&self) -> Option<Ipv4Addr> {
        let servers = &self.outside.as_ref()?.told.name_servers;
        servers.get(self.name_server).copied()
    }

    /// Sends a packet out as the host's, to whom it is `really` for.
    fn translate_out(
        &mut self,
        mut packet: Packet,
        header: &Header,
        ends: &Ends,
        really: SocketAddrV4,
        sum: Sum,
        now_ms: u64,
    ) {
        let Some(own) = self.outside.as_ref().map(|outside| outside.lease.address) else {
            return self.refuse();
        };
        let found = self.flows.leaving(
            ends.protocol,
            ends.source,
            ends.destination,
            || really,
            now_ms,
        );
        let Some((slot, flow)) = found.and_then(|slot| Some((slot, self.flows.get(slot)?))) else {
            self.counters.lost += 1;
            return;
        };
        let bytes = &mut packet.frame_mut()[ETHERNET_BYTES..];
        self.flows.touch(
            slot,
            Direction::Out,
            flags(bytes, header, ends.protocol),
            now_ms,
        );
        set_end(
            bytes,
            header,
            ends.protocol,
            Side::Source,
            SocketAddrV4::new(own, flow.outside_port),
            sum,
        );
        if flow.remote != ends.destination {
            set_end(
                bytes,
                header,
                ends.protocol,
                Side::Destination,
                flow.remote,
                sum,
            );
        }
        if header.more_fragments {
            self.leaving
                .begin(key(header), (own, *flow.remote.ip()), now_ms);
        }
        if *flow.remote.ip() == own {
            return self.hairpin(packet, now_ms);
        }
        self.send_out(packet, *flow.remote.ip(), now_ms);
    }

    /// A packet from inside to a port of the host's that leads inside (RFC 5382, 7.2).
    fn hairpin(&mut self, mut packet: Packet, now_ms: u64) {
        let header = Header::read(&packet.frame()[ETHERNET_BYTES..]);
        let Some(header) = header else {
            return self.refuse();
        };
        let Some(sum) = sum_of(&mut packet, &header) else {
            return self.refuse();
        };
        // Who is not there is not for the host either.
        if self.route_in(packet, &header, sum, now_ms).is_some() {
            self.refuse();
        }
    }

    /// A packet from outside to the host's address; back if nobody inside is to have it.
    fn route_in(
        &mut self,
        mut packet: Packet,
        header: &Header,
        sum: Sum,
        now_ms: u64,
    ) -> Option<Packet> {
        if header.fragment_offset != 0 {
            let Some((source, destination)) = self.arriving.find(key(header), now_ms) else {
                return Some(packet);
            };
            let bytes = &mut packet.frame_mut()[ETHERNET_BYTES..];
            spend_hop(bytes);
            set_address(bytes, Side::Source, source);
            set_address(bytes, Side::Destination, destination);
            self.send_in(packet, destination, now_ms);
            return None;
        }
        let bytes = &packet.frame()[ETHERNET_BYTES..];
        let Some(ends) = Ends::of(bytes, header) else {
            return self.error_in(packet, header, now_ms);
        };
        let flags = flags(bytes, header, ends.protocol);
        let found = self.flows.arriving(
            ends.protocol,
            ends.destination.port(),
            ends.source,
            flags,
            now_ms,
        );
        let Some((slot, flow)) = found.and_then(|slot| Some((slot, self.flows.get(slot)?))) else {
            return Some(packet);
        };
        if header.time_to_live <= 1 {
            self.counters.refused += 1;
            return None;
        }
        self.flows.touch(slot, Direction::In, flags, now_ms);
        self.translate_in(packet, header, &ends, &flow, sum, now_ms);
        None
    }

    fn translate_in(
        &mut self,
        mut packet: Packet,
        header: &Header,
        ends: &Ends,
        flow: &Flow,
        sum: Sum,
        now_ms: u64,
    ) {
        let bytes = &mut packet.frame_mut()[ETHERNET_BYTES..];
        spend_hop(bytes);
        set_end(
            bytes,
            header,
            ends.protocol,
            Side::Destination,
            flow.inside,
            sum,
        );
        if flow.seen_as != flow.remote {
            set_end(
                bytes,
                header,
                ends.protocol,
                Side::Source,
                flow.seen_as,
                sum,
            );
        }
        if header.more_fragments {
            self.arriving
                .begin(key(header), (*flow.seen_as.ip(), *flow.inside.ip()), now_ms);
        }
        self.send_in(packet, *flow.inside.ip(), now_ms);
    }

    /// An error that the guest tells of a packet that came.
    fn error_out(&mut self, mut packet: Packet, header: &Header, own: Ipv4Addr, now_ms: u64) {
        let bytes = &mut packet.frame_mut()[ETHERNET_BYTES..];
        let Some((inner, ends)) = icmp::quoted(bytes, header) else {
            return self.refuse();
        };
        let slot = self
            .flows
            .of_inside(ends.protocol, ends.destination, ends.source);
        let Some(flow) = slot.and_then(|slot| self.flows.get(slot)) else {
            return self.refuse();
        };
        let outside = SocketAddrV4::new(own, flow.outside_port);
        icmp::amend(
            bytes,
            header,
            (&inner, &ends),
            (flow.remote, outside),
            (Side::Source, own),
        );
        let mut to = header.destination;
        if to == *flow.seen_as.ip() {
            to = *flow.remote.ip();
            set_address(bytes, Side::Destination, to);
        }
        self.send_out(packet, to, now_ms);
    }

    /// An error about a packet that left; back if it was the host's.
    fn error_in(&mut self, mut packet: Packet, header: &Header, now_ms: u64) -> Option<Packet> {
        let bytes = &mut packet.frame_mut()[ETHERNET_BYTES..];
        let Some((inner, ends)) = icmp::quoted(bytes, header) else {
            return Some(packet);
        };
        let slot = self
            .flows
            .of_outside(ends.protocol, ends.source.port(), ends.destination);
        let Some(flow) = slot.and_then(|slot| self.flows.get(slot)) else {
            return Some(packet);
        };
        spend_hop(bytes);
        let to = *flow.inside.ip();
        icmp::amend(
            bytes,
            header,
            (&inner, &ends),
            (flow.inside, flow.seen_as),
            (Side::Destination, to),
        );
        if header.source == *flow.remote.ip() {
            set_address(bytes, Side::Source, *flow.seen_as.ip());
        }
        self.send_in(packet, to, now_ms);
        None
    }

    fn send_out(&mut self, packet: Packet, to: Ipv4Addr, now_ms: u64) {
        let hop = self
            .outside
            .as_ref()
            .and_then(|outside| outside.next_hop(to));
        let Some(hop) = hop else {
            return self.refuse();
        };
        let ask = match self.far.way(packet, hop, now_ms) {
            Way::Known(mut packet, mac, ask) => {
                put_ethernet(packet.frame_mut(), mac, self.outside_mac, TYPE_IPV4);
                self.push_out(packet);
                ask
            }
            Way::Unknown(ask) => ask,
        };
        if ask == Ask::Now {
            self.speak(Face::Outside, None, hop);
        }
    }

    fn send_in(&mut self, packet: Packet, to: Ipv4Addr, now_ms: u64) {
        let ask = match self.near.way(packet, to, now_ms) {
            Way::Known(mut packet, mac, ask) => {
                put_ethernet(packet.frame_mut(), mac, self.own.0, TYPE_IPV4);
                self.push_in(packet);
                ask
            }
            Way::Unknown(ask) => ask,
        };
        if ask == Ask::Now {
            self.speak(Face::Inside, None, to);
        }
    }

    fn deliver_waiting(&mut self, waiting: impl Iterator<Item = Packet>, mac: Mac) {
        for mut packet in waiting {
            put_ethernet(packet.frame_mut(), mac, self.own.0, TYPE_IPV4);
            self.push_in(packet);
        }
    }

    fn push_in(&mut self, packet: Packet) {
        if self.outlets.0.len() >= QUEUE_FRAMES {
            self.counters.lost += 1;
            return;
        }
        self.counters.r#in += 1;
        self.outlets.0.push_back(packet);
    }

    fn push_out(&mut self, packet: Packet) {
        // One more than those that wait inside are taken for; answers to questions come beside.
        if self.outlets.1.len() >= 2 * QUEUE_FRAMES {
            self.counters.lost += 1;
            return;
        }
        self.counters.out += 1;
        self.outlets.1.push_back(packet);
    }

    fn refuse(&mut self) {
        self.counters.refused += 1;
    }

    /// Tells the sender of a packet why it goes nowhere.
    fn tell(&mut self, trouble: Trouble, packet: &Packet, header: &Header) {
        self.counters.refused += 1;
        self.told.1 += 1;
        if self.told.1 > TOLD_IN_A_SECOND {
            return;
        }
        let Some((_, mac, _)) = ethernet(packet.frame()) else {
            return;
        };
        let Some(mut answer) = self.pool.packet() else {
            return;
        };
        if icmp::write(
            &mut answer,
            self.own.1,
            trouble,
            &packet.frame()[ETHERNET_BYTES..],
            header,
        ) {
            put_ethernet(answer.frame_mut(), mac, self.own.0, TYPE_IPV4);
            self.push_in(answer);
        }
    }

    /// A message for the DHCP server.
    fn serve(&mut self, mut packet: Packet, header: &Header, now_ms: u64) {
        if !packet.finish_checksum() {
            return self.refuse();
        }
        let message = packet
            .frame()
            .get(ETHERNET_BYTES + header.bytes + UDP_BYTES..ETHERNET_BYTES + header.total_bytes);
        let Some(mut answer) = self.pool.packet() else {
            self.counters.lost += 1;
            return;
        };
        let mut into = [0; LONGEST_BYTES];
        let outside = self.outside.as_ref();
        let terms = Terms {
            own: self.own.1,
            mtu_bytes: self.setup.mtu_bytes,
            name: &self.setup.name,
            domain: outside.map_or(&[], |outside| &outside.told.domain),
            time_server: outside.and_then(|outside| outside.told.time_server),
        };
        let reply =
            message.and_then(|message| self.server.answer(message, &terms, now_ms, &mut into));
        let Some(reply) = reply else {
            return;
        };
        answer.set_len(ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + reply.bytes);
        let frame = answer.frame_mut();
        put_ethernet(frame, reply.mac, self.own.0, TYPE_IPV4);
        let Some(datagram) = frame
            .get_mut(ETHERNET_BYTES..)
            .filter(|it| it.len() > reply.bytes)
        else {
            return;
        };
        put_ipv4(
            datagram,
            UDP,
            self.own.1,
            reply.address,
            UDP_BYTES + reply.bytes,
        );
        let (head, body) = datagram[IPV4_BYTES..].split_at_mut(UDP_BYTES);
        let length = (UDP_BYTES + reply.bytes) as u16;
        for (place, word) in
            head.chunks_exact_mut(2)
                .zip([dhcp::SERVER_PORT, dhcp::CLIENT_PORT, length, 0])
        {
            place.copy_from_slice(&word.to_be_bytes());
        }
        body.copy_from_slice(&into[..reply.bytes]);
        // The checksum is computed as a guest's would be: from the pseudo-header's sum.
        let addresses = [self.own.1.octets(), reply.address.octets()];
        let pseudo = checksum::pseudo_header(addresses.as_flattened(), UDP, length.into());
        head[6..8].copy_from_slice(&pseudo.to_be_bytes());
        let mut offload = answer.offload();
        offload.checksum = Checksum::Partial(PartialChecksum {
            start: (ETHERNET_BYTES + IPV4_BYTES) as u16,
            offset: 6,
        });
        answer.set_offload(offload);
        answer.finish_checksum();
        self.push_in(answer);
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

/// Addresses and type of a frame without a tag.
fn ethernet(frame: &[u8]) -> Option<(Mac, Mac, u16)> {
    let [to @ .., _, _, _, _, _, _, high, low] = *frame.first_chunk::<ETHERNET_BYTES>()?;
    let from = *frame[6..].first_chunk()?;
    Some((Mac(to), Mac(from), u16::from_be_bytes([high, low])))
}

/// True for addresses of one station that may be somewhere.
fn is_reachable(address: Ipv4Addr) -> bool {
    let is_one = !address.is_multicast() && !address.is_broadcast() && !address.is_loopback();
    is_one && address.octets()[0] != 0 && !address.is_link_local()
}

fn is_for_server(frame: &[u8], header: &Header) -> bool {
    let port = frame.get(ETHERNET_BYTES + header.bytes + 2..ETHERNET_BYTES + header.bytes + 4);
    header.protocol == UDP
        && header.fragment_offset == 0
        && port == Some(&dhcp::SERVER_PORT.to_be_bytes())
}

fn key(header: &Header) -> Key {
    Key {
        source: header.source,
        destination: header.destination,
        protocol: header.protocol,
        identification: header.identification,
    }
}

fn flags(packet: &[u8], header: &Header, protocol: Protocol) -> Flags {
    match (protocol, packet.get(header.bytes + FLAGS_AT)) {
        (Protocol::Tcp, Some(byte)) => Flags::of(*byte),
        _ => Flags::default(),
    }
}
