//! Bytes of frames: Ethernet, ARP (RFC 826), IPv4 (RFC 791) and UDP (RFC 768), as far as a boot ROM speaks them: no options are
//! sent, and no fragments.

use super::card::Mac;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use hvm::checksum;
use serde::{Deserialize, Serialize};

/// Everybody on the wire.
pub const EVERYBODY: Mac = [0xff; 6];

/// Bytes of an Ethernet header.
pub const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
/// Bytes of all headers in front of a datagram's payload.
pub const HEADER_BYTES: usize = ETHERNET_BYTES + IP_BYTES + UDP_BYTES;

const TYPE_IP: [u8; 2] = [0x08, 0x00];
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
const UDP: u8 = 17;

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The host.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Of an address and a port.
    pub const fn new(address: Ipv4Addr, port: u16) -> Self {
        Self { address, port }
    }
}

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// What.
    pub payload: &'a [u8],
}

/// What ARP is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Who has an address.
    Request,
    /// The answer.
    Reply,
}

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Question or answer.
    pub asking: Asking,
    /// Who speaks.
    pub sender: (Mac, Ipv4Addr),
    /// Who is meant.
    pub target: (Mac, Ipv4Addr),
}

/// What of a frame concerns a boot ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// ARP.
    Arp(Arp),
    /// A datagram.
    Udp(Datagram<'a>),
}

fn ethernet(to: Mac, from: Mac, kind: [u8; 2], room: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETHERNET_BYTES + room);
    frame.extend(to);
    frame.extend(from);
    frame.extend(kind);
    frame
}

impl Arp {
    const HEADER: [u8; 7] = [0, 1, 8, 0, 6, 4, 0];

    /// The frame from the sender.
    pub fn frame(&self, to: Mac) -> Vec<u8> {
        let mut frame = ethernet(to, self.sender.0, TYPE_ARP, 28);
        frame.extend(Self::HEADER);
        frame.push(match self.asking {
            Asking::Request => 1,
            Asking::Reply => 2,
        });
        for (mac, address) in [self.sender, self.target] {
            frame.extend(mac);
            frame.extend(address.octets());
        }
        frame
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<8>()?;
        let asking = match header.strip_prefix(&Self::HEADER)? {
            [1] => Asking::Request,
            [2] => Asking::Reply,
            _ => return None,
        };
        let (sender, rest) = pair(rest)?;
        let (target, _) = pair(rest)?;
        Some(Self {
            asking,
            sender,
            target,
        })
    }
}

fn pair(bytes: &[u8]) -> Option<((Mac, Ipv4Addr), &[u8])> {
    let (&mac, rest) = bytes.split_first_chunk::<6>()?;
    let (&address, rest) = rest.split_first_chunk::<4>()?;
    Some(((mac, address.into()), rest))
}

impl Datagram<'_> {
    /// The frame.
    pub fn frame(&self, to: Mac, from: Mac) -> Vec<u8> {
        const NO_FRAGMENTS: [u8; 2] = [0x40, 0];
        const HOPS: u8 = 64;
        let udp_bytes = UDP_BYTES + self.payload.len();
        let mut frame = ethernet(to, from, TYPE_IP, IP_BYTES + udp_bytes);
        frame.extend([0x45, 0]);
        frame.extend(((IP_BYTES + udp_bytes) as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(NO_FRAGMENTS);
        frame.extend([HOPS, UDP, 0, 0]);
        frame.extend(self.source.address.octets());
        frame.extend(self.destination.address.octets());
        let sum = checksum::of(&frame[ETHERNET_BYTES..]);
        frame[ETHERNET_BYTES + 10..][..2].copy_from_slice(&sum.to_be_bytes());
        frame.extend(self.source.port.to_be_bytes());
        frame.extend(self.destination.port.to_be_bytes());
        frame.extend((udp_bytes as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(self.payload);
        let pseudo = checksum::pseudo_header(&frame[ETHERNET_BYTES + 12..][..8], UDP, udp_bytes);
        // 0 would say that there is none.
        let sum = match !checksum::sum(pseudo, &frame[ETHERNET_BYTES + IP_BYTES..]) {
            0 => 0xffff,
            sum => sum,
        };
        frame[ETHERNET_BYTES + IP_BYTES + 6..][..2].copy_from_slice(&sum.to_be_bytes());
        frame
    }
}

/// What of a frame is for a boot ROM; `None` for all else, and for what is damaged.
pub fn parse(frame: &[u8]) -> Option<Content<'_>> {
    let (header, rest) = frame.split_first_chunk::<ETHERNET_BYTES>()?;
    match [header[12], header[13]] {
        TYPE_ARP => Arp::parse(rest).map(Content::Arp),
        TYPE_IP => datagram(rest).map(Content::Udp),
        _ => None,
    }
}

fn datagram(packet: &[u8]) -> Option<Datagram<'_>> {
    const FRAGMENT: u16 = 0x3fff;
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 2)?;
        Some(u16::from_be_bytes([word[0], word[1]]))
    };
    let version_and_length = *packet.first()?;
    let header_bytes = usize::from(version_and_length & 15) * 4;
    let packet = packet.get(..usize::from(word(packet, 2)?))?;
    let header = packet.get(..header_bytes)?;
    if version_and_length >> 4 != 4 || header_bytes < IP_BYTES || checksum::of(header) != 0 {
        return None;
    }
    if word(header, 6)? & FRAGMENT != 0 || header[9] != UDP {
        return None;
    }
    let address =
        |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let udp = &packet[header_bytes..];
    let udp = udp.get(..usize::from(word(udp, 4)?))?;
    let payload = udp.get(UDP_BYTES..)?;
    if word(udp, 6)? != 0 {
        let pseudo = checksum::pseudo_header(&header[12..20], UDP, udp.len());
        if !checksum::sum(pseudo, udp) != 0 {
            return None;
        }
    }
    Some(Datagram {
        source: Endpoint::new(address(12), word(udp, 0)?),
        destination: Endpoint::new(address(16), word(udp, 2)?),
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Mac = [2, 0, 0, 0, 0, 1];

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let payload = [7; 33];
        let datagram = Datagram {
            source: Endpoint::new(Ipv4Addr::new(10, 0, 2, 15), 2070),
            destination: Endpoint::new(Ipv4Addr::new(10, 0, 2, 2), 69),
            payload: &payload,
        };
        let frame = datagram.frame(EVERYBODY, HERE);
        assert_eq!(frame.len(), HEADER_BYTES + 33);
        let mut padded = frame.clone();
        padded.resize(100, 0);
        assert_eq!(parse(&padded), Some(Content::Udp(datagram)));
        for place in ETHERNET_BYTES..frame.len() {
            let mut bad = frame.clone();
            bad[place] ^= 0x10;
            assert_eq!(parse(&bad), None, "byte {place}");
            assert_eq!(parse(&frame[..place]), None, "{place} bytes");
        }
        let arp = Arp {
            asking: Asking::Reply,
            sender: (HERE, Ipv4Addr::new(10, 0, 2, 15)),
            target: (EVERYBODY, Ipv4Addr::new(10, 0, 2, 2)),
        };
        assert_eq!(parse(&arp.frame(EVERYBODY)), Some(Content::Arp(arp)));
    }

    proptest! {
        #[test]
        fn any_frame_is_read_or_not(
            mut frame in proptest::collection::vec(any::<u8>(), 0..200),
            kind in prop_oneof![Just(TYPE_IP), Just(TYPE_ARP)],
        ) {
            if let Some(place) = frame.get_mut(12..14) {
                place.copy_from_slice(&kind);
            }
            let _ = parse(&frame);
        }
    }
}
