//! Messages of neighbour discovery that go beside the stack: it takes no packet from nobody (`::`), and knows no address that is not in use yet.

use crate::Mac;
use crate::nat::wire::{ETHERNET_BYTES, put_ethernet};
use core::net::Ipv6Addr;
use hvm::packet::Packet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

/// Neighbours only (RFC 4861, 6.1.2 and 7.1).
pub const HOP_LIMIT: u8 = 255;
/// IPv6 in an Ethernet frame.
pub const TYPE_IPV6: u16 = 0x86dd;
/// Its header.
pub const HEADER_BYTES: usize = 40;
/// Types of messages about neighbours (RFC 4861, 4.3 and 4.4), and where they are in a packet without further headers.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const TYPE_AT: usize = ETHERNET_BYTES + HEADER_BYTES;

/// Everybody on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// What a station says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It wants it, and asks whether it is somebody's.
    Wants,
    /// It has it.
    Has,
}

/// What a station says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Who says so.
    pub station: Mac,
    /// The address.
    pub address: Ipv6Addr,
    /// What it says.
    pub word: Word,
}

impl Neighbour {
    /// What a frame says that is a message as it should be (RFC 4861, 7.1). A question for where an address is says nothing.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let kind = frame.get(TYPE_AT)?;
        if frame[12..ETHERNET_BYTES] != TYPE_IPV6.to_be_bytes()
            || ![SOLICITATION, ADVERTISEMENT].contains(kind)
        {
            return None;
        }
        let packet = Ipv6Packet::new_checked(&frame[ETHERNET_BYTES..]).ok()?;
        if packet.next_header() != IpProtocol::Icmpv6 || packet.hop_limit() != HOP_LIMIT {
            return None;
        }
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
        let sums = ChecksumCapabilities::default();
        let (address, word) = match Icmpv6Repr::parse(&from, &to, &message, &sums).ok()? {
            Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
                target_addr,
                lladdr: None,
            }) if from.is_unspecified() && to == group(target_addr) => (target_addr, Word::Wants),
            Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
                flags, target_addr, ..
            }) if !(to.is_multicast() && flags.contains(NdiscNeighborFlags::SOLICITED)) => {
                (target_addr, Word::Has)
            }
            _ => return None,
        };
        let source = frame.get(6..12)?.first_chunk()?;
        Some(Self {
            station: Mac(*source),
            address,
            word,
        })
    }
}

/// Makes a question by nobody whether an address is somebody's.
pub fn ask(packet: &mut Packet, own: Mac, address: Ipv6Addr) {
    let question = NdiscRepr::NeighborSolicit {
        target_addr: address,
        lladdr: None,
    };
    write(
        packet,
        own,
        (Ipv6Addr::UNSPECIFIED, group(address)),
        question,
    );
}

/// Makes the answer to everybody that it is this station's (RFC 4861, 7.2.4).
pub fn answer(packet: &mut Packet, own: Mac, address: Ipv6Addr) {
    let answer = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: address,
        lladdr: Some(hardware(own)),
    };
    write(packet, own, (address, ALL_NODES), answer);
}

/// Makes a question for routers, by this address if there is one yet (RFC 4861, 4.1).
pub fn solicit(packet: &mut Packet, own: Mac, from: Option<Ipv6Addr>) {
    let question = NdiscRepr::RouterSolicit {
        lladdr: from.map(|_| hardware(own)),
    };
    let from = from.unwrap_or(Ipv6Addr::UNSPECIFIED);
    write(packet, own, (from, ALL_ROUTERS), question);
}

fn write(packet: &mut Packet, own: Mac, ends: (Ipv6Addr, Ipv6Addr), message: NdiscRepr<'_>) {
    let message = Icmpv6Repr::Ndisc(message);
    let (from, to) = ends;
    let header = Ipv6Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    if let Some(payload) = begin(packet, own, &header) {
        message.emit(
            &from,
            &to,
            &mut Icmpv6Packet::new_unchecked(payload),
            &ChecksumCapabilities::default(),
        );
    }
}

/// Begins a frame to a group (RFC 2464, 7). What comes behind `header` is to be filled in; `None` if the packet has no room for it.
pub(super) fn begin<'a>(
    packet: &'a mut Packet,
    own: Mac,
    header: &Ipv6Repr,
) -> Option<&'a mut [u8]> {
    let bytes = ETHERNET_BYTES + HEADER_BYTES + header.payload_len;
    packet.set_len(bytes);
    let frame = packet.frame_mut();
    if frame.len() < bytes {
        return None;
    }
    let [.., a, b, c, d] = header.dst_addr.octets();
    put_ethernet(frame, Mac([0x33, 0x33, a, b, c, d]), own, TYPE_IPV6);
    header.emit(&mut Ipv6Packet::new_unchecked(&mut frame[ETHERNET_BYTES..]));
    frame.get_mut(ETHERNET_BYTES + HEADER_BYTES..)
}

fn hardware(mac: Mac) -> RawHardwareAddress {
    HardwareAddress::Ethernet(EthernetAddress(mac.0)).into()
}

/// Whom questions for an address go to (RFC 4291, 2.7.1).
pub fn group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let mut octets = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    octets[13..].copy_from_slice(&[a, b, c]);
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::Pool;
    use proptest::prelude::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

    fn frame(write: impl FnOnce(&mut Packet)) -> std::vec::Vec<u8> {
        let mut packet = Pool::ordinary(1, 2048).packet().unwrap();
        write(&mut packet);
        packet.frame().to_vec()
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for (frame, word) in [
            (frame(|packet| ask(packet, OWN, ADDRESS)), Word::Wants),
            (frame(|packet| answer(packet, OWN, ADDRESS)), Word::Has),
        ] {
            let neighbour = Neighbour {
                station: OWN,
                address: ADDRESS,
                word,
            };
            assert_eq!(Neighbour::read(&frame), Some(neighbour));
            for end in 0..frame.len() {
                assert_eq!(Neighbour::read(&frame[..end]), None, "{end} bytes");
            }
        }
        for from in [None, Some(ADDRESS)] {
            let frame = frame(|packet| solicit(packet, OWN, from));
            assert_eq!(Neighbour::read(&frame), None);
            assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 2]);
            // Nobody has no card (RFC 4861, 4.1).
            assert_eq!(frame.len(), if from.is_some() { 70 } else { 62 });
        }
        assert_eq!(
            group(ADDRESS),
            "ff02::1:ff00:1".parse::<Ipv6Addr>().unwrap()
        );
    }

    #[test]
    fn a_message_from_another_link_says_nothing() {
        let mut frame = frame(|packet| answer(packet, OWN, ADDRESS));
        frame[ETHERNET_BYTES + 7] = 254;
        assert_eq!(Neighbour::read(&frame), None);
    }

    proptest! {
        #[test]
        fn any_frame_is_read(mut bytes in prop::collection::vec(any::<u8>(), 0..140), kind in 135_u8..137) {
            Neighbour::read(&bytes);
            if bytes.len() > TYPE_AT {
                bytes[12..14].copy_from_slice(&TYPE_IPV6.to_be_bytes());
                bytes[14] = 0x60;
                bytes[18] = 0;
                bytes[19] = (bytes.len() - TYPE_AT) as u8;
                bytes[20..22].copy_from_slice(&[58, HOP_LIMIT]);
                bytes[TYPE_AT] = kind;
                Neighbour::read(&bytes);
            }
        }
    }
}
