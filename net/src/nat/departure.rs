//! What the router sends: to the next station on either side, or an error to who sent a packet that goes nowhere.

use super::arp::{Ask, Way};
use super::icmp::{self, Trouble};
use super::wire::{ETHERNET_BYTES, Header, TYPE_IPV4, ethernet, put_ethernet};
use super::{Face, QUEUE_FRAMES, Router};
use crate::Mac;
use core::net::Ipv4Addr;
use hvm::packet::Packet;

/// Errors that are told in a second.
const TOLD_IN_A_SECOND: u32 = 100;

impl Router {
    pub(super) fn send_out(&mut self, packet: Packet, to: Ipv4Addr, now_ms: u64) {
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

    pub(super) fn send_in(&mut self, packet: Packet, to: Ipv4Addr, now_ms: u64) {
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

    pub(super) fn deliver_waiting(&mut self, waiting: impl Iterator<Item = Packet>, mac: Mac) {
        for mut packet in waiting {
            put_ethernet(packet.frame_mut(), mac, self.own.0, TYPE_IPV4);
            self.push_in(packet);
        }
    }

    pub(super) fn push_in(&mut self, packet: Packet) {
        if self.outlets.0.len() >= QUEUE_FRAMES {
            self.counters.lost += 1;
            return;
        }
        self.counters.r#in += 1;
        self.outlets.0.push_back(packet);
    }

    pub(super) fn push_out(&mut self, packet: Packet) {
        // One more than those that wait inside are taken for; answers to questions come beside.
        if self.outlets.1.len() >= 2 * QUEUE_FRAMES {
            self.counters.lost += 1;
            return;
        }
        self.counters.out += 1;
        self.outlets.1.push_back(packet);
    }

    pub(super) fn refuse(&mut self) {
        self.counters.refused += 1;
    }

    /// Tells the sender of a packet why it goes nowhere.
    pub(super) fn tell(&mut self, trouble: Trouble, packet: &Packet, header: &Header) {
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
}
