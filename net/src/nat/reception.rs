//! What comes to the router, from guests and from the network: whom a frame is for.

use super::arp::Arp;
use super::wire::{
    ETHERNET_BYTES, Header, TYPE_ARP, TYPE_IPV4, UDP, ethernet, put_ethernet, sum_of,
};
use super::{Face, Router, dhcp};
use crate::Mac;
use core::net::Ipv4Addr;
use hvm::packet::Packet;

impl Router {
    pub(super) fn hear_guest(&mut self, mut packet: Packet, now_ms: u64) {
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
    pub(super) fn hear_network(&mut self, mut packet: Packet, now_ms: u64) -> Option<Packet> {
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
    pub(super) fn may_send(&self, source: Ipv4Addr) -> bool {
        self.is_inside(source) && source != self.own.1 && !matches!(source.octets()[3], 0 | 255)
    }

    pub(super) fn hear_inside(&mut self, packet: Packet, now_ms: u64) {
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

    pub(super) fn hear_outside(&mut self, packet: &Packet, now_ms: u64) {
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
    pub(super) fn speak(&mut self, face: Face, to: Option<Mac>, address: Ipv4Addr) {
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
}

pub(super) fn is_for_server(frame: &[u8], header: &Header) -> bool {
    let port = frame.get(ETHERNET_BYTES + header.bytes + 2..ETHERNET_BYTES + header.bytes + 4);
    header.protocol == UDP
        && header.fragment_offset == 0
        && port == Some(&dhcp::SERVER_PORT.to_be_bytes())
}
