//! The station: an address on the network, what it knows of its neighbours, and datagrams to and from it.
//!
//! Nobody waits here. A datagram to a neighbour whose address is unknown is kept, one of them, until the neighbour has told; who
//! sent it and gets no answer sends again.

use super::super::call::Call;
use super::card::{Card, FRAME_BYTES, Mac};
use super::wire::{self, Arp, Asking, Content, Datagram, EVERYBODY, Endpoint};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// Neighbours that are remembered.
const NEIGHBOURS: usize = 4;
/// The longest payload of a datagram in one frame.
pub const PAYLOAD_BYTES: usize = FRAME_BYTES - wire::HEADER_BYTES;

/// Counts of frames, for PXENV_UNDI_GET_STATISTICS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sent.
    pub sent: u32,
    /// Received.
    pub received: u32,
}

/// A frame that waits for its receiver's address.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    hop: Ipv4Addr,
    frame: Vec<u8>,
}

/// A station.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Station {
    /// Its card.
    pub card: Card,
    /// The card's address.
    pub mac: Mac,
    /// Its address; unspecified before it has one.
    pub address: Ipv4Addr,
    /// The mask of its network.
    pub mask: Ipv4Addr,
    /// Who leads elsewhere; unspecified if nobody does.
    pub router: Ipv4Addr,
    /// Frames so far.
    pub counts: Counts,
    neighbours: [(Ipv4Addr, Mac); NEIGHBOURS],
    next_neighbour: u8,
    waiting: Option<Waiting>,
}

impl Station {
    /// Without an address.
    pub fn new(card: Card, mac: Mac) -> Self {
        Self {
            card,
            mac,
            address: Ipv4Addr::UNSPECIFIED,
            mask: Ipv4Addr::UNSPECIFIED,
            router: Ipv4Addr::UNSPECIFIED,
            counts: Counts::default(),
            neighbours: [(Ipv4Addr::UNSPECIFIED, EVERYBODY); NEIGHBOURS],
            next_neighbour: 0,
            waiting: None,
        }
    }

    /// Sends a frame, or loses it, as a network may.
    pub fn send_frame(&mut self, call: &mut Call<'_>, frame: &[u8]) -> bool {
        let sent = self.card.send(call, frame);
        self.counts.sent = self.counts.sent.wrapping_add(sent.into());
        sent
    }

    /// The next frame.
    pub fn receive_frame(
        &mut self,
        call: &mut Call<'_>,
        into: &mut [u8; FRAME_BYTES],
    ) -> Option<usize> {
        let bytes = self.card.receive(call, into)?;
        self.counts.received = self.counts.received.wrapping_add(1);
        Some(bytes)
    }

    /// Sends a datagram from a port of this station. `router` is asked for hosts elsewhere, if it is given.
    pub fn send(
        &mut self,
        call: &mut Call<'_>,
        from_port: u16,
        destination: Endpoint,
        router: Ipv4Addr,
        payload: &[u8],
    ) {
        let datagram = Datagram {
            source: Endpoint::new(self.address, from_port),
            destination,
            payload,
        };
        if payload.len() > PAYLOAD_BYTES {
            return;
        }
        let broadcast =
            destination.address.is_broadcast() || self.is_everybody(destination.address);
        if broadcast {
            let frame = datagram.frame(EVERYBODY, self.mac);
            self.send_frame(call, &frame);
            return;
        }
        let hop = self.hop(destination.address, router);
        let known = self.neighbours.iter().find(|(address, _)| *address == hop);
        if let Some(&(_, mac)) = known.filter(|_| !hop.is_unspecified()) {
            let frame = datagram.frame(mac, self.mac);
            self.send_frame(call, &frame);
            return;
        }
        let frame = datagram.frame(EVERYBODY, self.mac);
        self.waiting = Some(Waiting { hop, frame });
        let question = Arp {
            asking: Asking::Request,
            sender: (self.mac, self.address),
            target: ([0; 6], hop),
        };
        let frame = question.frame(EVERYBODY);
        self.send_frame(call, &frame);
    }

    /// Everybody on this station's network.
    fn is_everybody(&self, address: Ipv4Addr) -> bool {
        let hosts = !self.mask.to_bits();
        hosts > 1 && hosts != u32::MAX && address.to_bits() == self.address.to_bits() | hosts
    }

    fn hop(&self, address: Ipv4Addr, router: Ipv4Addr) -> Ipv4Addr {
        let far = (address.to_bits() ^ self.address.to_bits()) & self.mask.to_bits() != 0;
        let router = match router.is_unspecified() {
            true => self.router,
            false => router,
        };
        match far && !router.is_unspecified() {
            true => router,
            false => address,
        }
    }

    /// Looks at the next frame. `None` if there is none; otherwise the datagram in it for this station, if it holds one.
    pub fn receive<'a>(
        &mut self,
        call: &mut Call<'_>,
        buffer: &'a mut [u8; FRAME_BYTES],
    ) -> Option<Option<Datagram<'a>>> {
        let bytes = self.receive_frame(call, buffer)?;
        Some(match wire::parse(&buffer[..bytes]) {
            Some(Content::Udp(datagram)) => self.is_meant(&datagram).then_some(datagram),
            Some(Content::Arp(arp)) => {
                self.hear(call, &arp);
                None
            }
            None => None,
        })
    }

    /// Before it has an address, a station takes what reaches its card.
    fn is_meant(&self, datagram: &Datagram<'_>) -> bool {
        let to = datagram.destination.address;
        self.address.is_unspecified()
            || to == self.address
            || to.is_broadcast()
            || self.is_everybody(to)
    }

    fn hear(&mut self, call: &mut Call<'_>, arp: &Arp) {
        let (mac, address) = arp.sender;
        if self.address.is_unspecified() || arp.target.1 != self.address || mac[0] & 1 != 0 {
            return;
        }
        if arp.asking == Asking::Request {
            let answer = Arp {
                asking: Asking::Reply,
                sender: (self.mac, self.address),
                target: arp.sender,
            };
            let frame = answer.frame(mac);
            self.send_frame(call, &frame);
        }
        self.remember(address, mac);
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.hop == address)
            && let Some(mut waiting) = self.waiting.take()
        {
            waiting.frame[..6].copy_from_slice(&mac);
            self.send_frame(call, &waiting.frame);
        }
    }

    fn remember(&mut self, address: Ipv4Addr, mac: Mac) {
        let known = self
            .neighbours
            .iter()
            .position(|(other, _)| *other == address);
        let place = known.unwrap_or_else(|| {
            self.next_neighbour = self.next_neighbour.wrapping_add(1) % NEIGHBOURS as u8;
            self.next_neighbour.into()
        });
        if let Some(neighbour) = self.neighbours.get_mut(place) {
            *neighbour = (address, mac);
        }
    }
}
