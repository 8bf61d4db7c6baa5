//! Packets on their way through: the guest's leave with the host's address and a port of ours, answers and errors about them come back.

use super::flows::{Direction, Flags, Flow};
use super::fragments::Key;
use super::icmp::{self, Trouble};
use super::wire::{ECHO, ETHERNET_BYTES, Ends, FLAGS_AT, Header, ICMP, Protocol, Side, Sum};
use super::wire::{set_address, set_end, spend_hop, sum_of};
use super::{MTU_BYTES, Router};
use core::net::{Ipv4Addr, SocketAddrV4};
use hvm::packet::Packet;

impl Router {
    /// A packet of the guest's.
    pub(super) fn route_out(&mut self, mut packet: Packet, header: &Header, sum: Sum, now_ms: u64) {
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

    /// Sends a packet out as the host's, to whom it is `really` for.
    pub(super) fn translate_out(
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
    pub(super) fn hairpin(&mut self, mut packet: Packet, now_ms: u64) {
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
    pub(super) fn route_in(
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

    pub(super) fn translate_in(
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
    pub(super) fn error_out(
        &mut self,
        mut packet: Packet,
        header: &Header,
        own: Ipv4Addr,
        now_ms: u64,
    ) {
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
    pub(super) fn error_in(
        &mut self,
        mut packet: Packet,
        header: &Header,
        now_ms: u64,
    ) -> Option<Packet> {
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
}

/// True for addresses of one station that may be somewhere.
pub(super) fn is_reachable(address: Ipv4Addr) -> bool {
    let is_one = !address.is_multicast() && !address.is_broadcast() && !address.is_loopback();
    is_one && address.octets()[0] != 0 && !address.is_link_local()
}

pub(super) fn key(header: &Header) -> Key {
    Key {
        source: header.source,
        destination: header.destination,
        protocol: header.protocol,
        identification: header.identification,
    }
}

pub(super) fn flags(packet: &[u8], header: &Header, protocol: Protocol) -> Flags {
    match (protocol, packet.get(header.bytes + FLAGS_AT)) {
        (Protocol::Tcp, Some(byte)) => Flags::of(*byte),
        _ => Flags::default(),
    }
}
