//! IPv4 packets in frames: where their fields are (RFC 791, 768, 792, 9293), and how addresses and ports are changed with their checksums
//! following (RFC 1624).

use crate::Mac;
use core::net::{Ipv4Addr, SocketAddrV4};
use hvm::checksum;
use hvm::packet::{Checksum, Packet, PartialChecksum};

pub const ETHERNET_BYTES: usize = 14;
pub const TYPE_IPV4: u16 = 0x0800;
pub const TYPE_ARP: u16 = 0x0806;
pub const IPV4_BYTES: usize = 20;
/// Bytes of a UDP header.
pub const UDP_BYTES: usize = 8;
/// Where a TCP header's flags are.
pub const FLAGS_AT: usize = 13;
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ECHO: u8 = 8;
pub const ECHO_REPLY: u8 = 0;
/// What is looked at of a transport's header: all of UDP's and ICMP's, and what errors quote of TCP's at least (RFC 792).
pub const TRANSPORT_BYTES: usize = 8;

/// What is translated. Echoes have an identifier where the others have a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// Questions of ICMP and their answers.
    Echo,
}

impl Protocol {
    /// Where in the header the checksum stands.
    fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
            Self::Echo => 2,
        }
    }
}

/// Source or destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Destination,
}

/// An IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub bytes: usize,
    /// All of the packet, with the header.
    pub total_bytes: usize,
    pub identification: u16,
    pub must_not_fragment: bool,
    pub more_fragments: bool,
    /// In units of eight bytes.
    pub fragment_offset: u16,
    pub time_to_live: u8,
    pub protocol: u8,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
}

impl Header {
    /// Reads one as it is quoted, of a packet that may go on elsewhere.
    pub fn quoted(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<IPV4_BYTES>()?;
        let bytes = usize::from(fixed[0] & 0xf) * 4;
        if fixed[0] >> 4 != 4 || bytes < IPV4_BYTES || packet.len() < bytes {
            return None;
        }
        let word = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let address =
            |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        Some(Self {
            bytes,
            total_bytes: word(2).into(),
            identification: word(4),
            must_not_fragment: word(6) & 0x4000 != 0,
            more_fragments: word(6) & 0x2000 != 0,
            fragment_offset: word(6) & 0x1fff,
            time_to_live: fixed[8],
            protocol: fixed[9],
            source: address(12),
            destination: address(16),
        })
    }

    /// Reads that of a whole packet; `None` if its lengths or its checksum are wrong.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let header = Self::quoted(packet)?;
        let fits = (header.bytes..=packet.len()).contains(&header.total_bytes);
        (fits && checksum::of(&packet[..header.bytes]) == 0).then_some(header)
    }

    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// Ends of a conversation, as a packet has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub protocol: Protocol,
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
}

impl Ends {
    /// Of a packet that begins with `header`, and is no later fragment; `None` if it has no such ends.
    pub fn of(packet: &[u8], header: &Header) -> Option<Self> {
        let transport = packet
            .get(header.bytes..)?
            .first_chunk::<TRANSPORT_BYTES>()?;
        let word = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
        let (protocol, from, to) = match header.protocol {
            TCP => (Protocol::Tcp, word(0), word(2)),
            UDP => (Protocol::Udp, word(0), word(2)),
            // Only one end has the identifier; which of them decides the direction.
            ICMP if transport[0] == ECHO => (Protocol::Echo, word(4), 0),
            ICMP if transport[0] == ECHO_REPLY => (Protocol::Echo, 0, word(4)),
            _ => return None,
        };
        Some(Self {
            protocol,
            source: SocketAddrV4::new(header.source, from),
            destination: SocketAddrV4::new(header.destination, to),
        })
    }
}

/// What stands in a transport's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// The checksum.
    Whole,
    /// The sum of the pseudo-header alone: somebody completes it.
    Pseudo,
}

/// The sum after `old` became `new`: RFC 1624, equation 3, without the complements at its ends.
fn replaced<const N: usize>(sum: u16, old: [u8; N], new: [u8; N]) -> u16 {
    checksum::sum(checksum::sum(sum, &old.map(|byte| !byte)), &new)
}

/// Writes a field of a header whose checksum, of the header itself, stands at `sum_at`.
fn put_summed<const N: usize>(header: &mut [u8], at: usize, new: [u8; N], sum_at: usize) {
    let Some(place) = header
        .get_mut(at..at + N)
        .and_then(|place| place.first_chunk_mut::<N>())
    else {
        return;
    };
    let old = core::mem::replace(place, new);
    if let Some(place) = header.get_mut(sum_at..sum_at + 2) {
        let sum = u16::from_be_bytes([place[0], place[1]]);
        place.copy_from_slice(&(!replaced(!sum, old, new)).to_be_bytes());
    }
}

/// Changes an address of a packet, its header's checksum with it, and nothing else: for fragments that are not the first.
pub fn set_address(packet: &mut [u8], side: Side, to: Ipv4Addr) {
    let at = match side {
        Side::Source => 12,
        Side::Destination => 16,
    };
    put_summed(packet, at, to.octets(), 10);
}

/// One hop less to live. It had more than one.
pub fn spend_hop(packet: &mut [u8]) {
    if let Some(&[hops, protocol]) = packet.get(8..10).and_then(|word| word.first_chunk::<2>()) {
        put_summed(packet, 8, [hops.saturating_sub(1), protocol], 10);
    }
}

/// Changes one end of a packet that begins with `header`: address, port, and the checksums of both headers.
pub fn set_end(
    packet: &mut [u8],
    header: &Header,
    protocol: Protocol,
    side: Side,
    to: SocketAddrV4,
    sum: Sum,
) {
    let old_address = match side {
        Side::Source => header.source.octets(),
        Side::Destination => header.destination.octets(),
    };
    set_address(packet, side, *to.ip());
    let Some(transport) = packet.get_mut(header.bytes..) else {
        return;
    };
    let port_at = match (protocol, side) {
        (Protocol::Echo, _) => 4,
        (_, Side::Source) => 0,
        (_, Side::Destination) => 2,
    };
    let Some(place) = transport.get_mut(port_at..port_at + 2) else {
        return;
    };
    let old_port = [place[0], place[1]];
    let new_port = to.port().to_be_bytes();
    place.copy_from_slice(&new_port);
    let at = protocol.checksum_at();
    let Some(place) = transport.get_mut(at..at + 2) else {
        return;
    };
    let stands = u16::from_be_bytes([place[0], place[1]]);
    let new = match (sum, protocol) {
        // RFC 768: none was computed.
        (Sum::Whole, Protocol::Udp) if stands == 0 => return,
        (Sum::Whole, Protocol::Echo) => !replaced(!stands, old_port, new_port),
        (Sum::Whole, _) => {
            let sum = replaced(!stands, old_address, to.ip().octets());
            match !replaced(sum, old_port, new_port) {
                0 if protocol == Protocol::Udp => 0xffff,
                sum => sum,
            }
        }
        (Sum::Pseudo, _) => replaced(stands, old_address, to.ip().octets()),
    };
    place.copy_from_slice(&new.to_be_bytes());
}

/// Which sum stands in a frame's transport header, whose packet begins with `header`. A checksum that is left out elsewhere than there is
/// computed first; `None` if it cannot be.
pub fn sum_of(packet: &mut Packet, header: &Header) -> Option<Sum> {
    let Checksum::Partial(PartialChecksum { start, offset }) = packet.offload().checksum else {
        return Some(Sum::Whole);
    };
    let expected = match header.protocol {
        TCP => Protocol::Tcp.checksum_at(),
        UDP => Protocol::Udp.checksum_at(),
        _ => usize::MAX,
    };
    if usize::from(start) == ETHERNET_BYTES + header.bytes && usize::from(offset) == expected {
        return Some(Sum::Pseudo);
    }
    (packet.offload().segmentation.is_none() && packet.finish_checksum()).then_some(Sum::Whole)
}

/// Addresses and type of a frame without a tag.
pub fn ethernet(frame: &[u8]) -> Option<(Mac, Mac, u16)> {
    let [to @ .., _, _, _, _, _, _, high, low] = *frame.first_chunk::<ETHERNET_BYTES>()?;
    let from = *frame[6..].first_chunk()?;
    Some((Mac(to), Mac(from), u16::from_be_bytes([high, low])))
}

/// Addresses and type of a frame.
pub fn put_ethernet(frame: &mut [u8], to: Mac, from: Mac, kind: u16) {
    if let Some(header) = frame.first_chunk_mut::<ETHERNET_BYTES>() {
        header[..6].copy_from_slice(&to.0);
        header[6..12].copy_from_slice(&from.0);
        header[12..].copy_from_slice(&kind.to_be_bytes());
    }
}

/// Writes a header without options for so many bytes behind it.
pub fn put_ipv4(
    packet: &mut [u8],
    protocol: u8,
    from: Ipv4Addr,
    to: Ipv4Addr,
    payload_bytes: usize,
) {
    let Some(header) = packet.first_chunk_mut::<IPV4_BYTES>() else {
        return;
    };
    header.fill(0);
    header[0] = 0x45;
    header[2..4].copy_from_slice(&((IPV4_BYTES + payload_bytes) as u16).to_be_bytes());
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let sum = checksum::of(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::{Offload, Pool};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// A packet of this protocol with all its checksums.
    fn packet(protocol: u8, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
        let mut transport = match protocol {
            TCP => {
                let mut header = Vec::from([0; 20]);
                header[12] = 5 << 4;
                header
            }
            _ => Vec::from([0; 8]),
        };
        let header_bytes = transport.len();
        transport.extend(payload);
        let bytes = transport.len();
        if protocol == ICMP {
            transport[0] = ECHO;
            transport[4..6].copy_from_slice(&from.port().to_be_bytes());
            let sum = checksum::of(&transport);
            transport[2..4].copy_from_slice(&sum.to_be_bytes());
        } else {
            transport[..2].copy_from_slice(&from.port().to_be_bytes());
            transport[2..4].copy_from_slice(&to.port().to_be_bytes());
            if protocol == UDP {
                transport[4..6].copy_from_slice(&(bytes as u16).to_be_bytes());
            }
            let addresses: Vec<u8> = [from.ip().octets(), to.ip().octets()].concat();
            let pseudo = checksum::pseudo_header(&addresses, protocol, bytes);
            let at = if protocol == TCP { 16 } else { 6 };
            let sum = match !checksum::sum(pseudo, &transport) {
                0 if protocol == UDP => 0xffff,
                sum => sum,
            };
            transport[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        assert!(header_bytes >= 8);
        let mut packet = Vec::from([0; IPV4_BYTES]);
        packet.extend(&transport);
        put_ipv4(&mut packet, protocol, *from.ip(), *to.ip(), bytes);
        packet
    }

    fn end(bits: u32, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from_bits(bits), port)
    }

    proptest! {
        #[test]
        fn changed_packets_are_as_if_made_anew(
            from: (u32, u16), to: (u32, u16), new: (u32, u16), which in 0_usize..3, is_source: bool,
            payload in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let protocol = [TCP, UDP, ICMP][which];
            let (from, mut to, new) = (end(from.0, from.1), end(to.0, to.1), end(new.0, new.1));
            if protocol == ICMP {
                to.set_port(0);
            }
            // The echo's identifier belongs to its source.
            let is_source = is_source || protocol == ICMP;
            let mut bytes = packet(protocol, from, to, &payload);
            let header = Header::read(&bytes).unwrap();
            let ends = Ends::of(&bytes, &header).unwrap();
            prop_assert_eq!((ends.source, ends.destination), (from, to));
            let side = if is_source { Side::Source } else { Side::Destination };
            set_end(&mut bytes, &header, ends.protocol, side, new, Sum::Whole);
            let expected = match side {
                Side::Source => packet(protocol, new, to, &payload),
                Side::Destination => packet(protocol, from, new, &payload),
            };
            // 0 and FFFFh are the same sum; which of them is there is up to the way.
            let same = |at: usize| {
                let word = |bytes: &[u8]| u16::from_be_bytes([bytes[at], bytes[at + 1]]) % 0xffff;
                word(&bytes) == word(&expected)
            };
            let at = IPV4_BYTES + ends.protocol.checksum_at();
            prop_assert!(same(10) && same(at));
            let without = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                bytes[10..12].fill(0);
                bytes[at..at + 2].fill(0);
                bytes
            };
            prop_assert_eq!(without(&bytes), without(&expected));
        }

        #[test]
        fn a_sum_that_somebody_completes_comes_out(
            from: (u32, u16), to: (u32, u16), new: (u32, u16), is_tcp: bool, payload in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let (protocol, kind, offset) = if is_tcp { (TCP, Protocol::Tcp, 16) } else { (UDP, Protocol::Udp, 6) };
            let (from, to, new) = (end(from.0, from.1), end(to.0, to.1), end(new.0, new.1));
            let whole = packet(protocol, from, to, &payload);
            let mut frame = Vec::from([0; ETHERNET_BYTES]);
            frame.extend(&whole);
            let at = ETHERNET_BYTES + IPV4_BYTES + offset;
            let addresses: Vec<u8> = [from.ip().octets(), to.ip().octets()].concat();
            let pseudo = checksum::pseudo_header(&addresses, protocol, whole.len() - IPV4_BYTES);
            frame[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
            let mut packet = Pool::ordinary(1, 256).copy_of(&frame).unwrap();
            packet.set_offload(Offload {
                checksum: Checksum::Partial(PartialChecksum { start: 34, offset: offset as u16 }),
                segmentation: None,
            });
            let header = Header::read(&packet.frame()[ETHERNET_BYTES..]).unwrap();
            prop_assert_eq!(sum_of(&mut packet, &header), Some(Sum::Pseudo));
            set_end(&mut packet.frame_mut()[ETHERNET_BYTES..], &header, kind, Side::Source, new, Sum::Pseudo);
            prop_assert!(packet.finish_checksum());
            let expected = super::tests::packet(protocol, new, to, &payload);
            let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]) % 0xffff;
            prop_assert_eq!(word(packet.frame(), at), word(&expected, at - ETHERNET_BYTES));
        }

        #[test]
        fn any_bytes_are_read_and_changed(mut bytes in prop::collection::vec(any::<u8>(), 0..80), which in 0_usize..3, is_source: bool) {
            if let Some(header) = Header::quoted(&bytes) {
                let _ = Ends::of(&bytes, &header);
                let side = if is_source { Side::Source } else { Side::Destination };
                let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Echo][which];
                set_end(&mut bytes, &header, protocol, side, end(1, 2), Sum::Whole);
                spend_hop(&mut bytes);
            }
        }
    }

    #[test]
    fn a_hop_is_spent() {
        let mut bytes = packet(UDP, end(1, 1), end(2, 2), b"");
        spend_hop(&mut bytes);
        assert_eq!(Header::read(&bytes).unwrap().time_to_live, 63);
    }

    #[test]
    fn what_is_no_packet_is_not_read() {
        let good = packet(UDP, end(1, 1), end(2, 2), b"abc");
        assert!(Header::read(&good).is_some());
        assert!(Header::read(&good[..good.len() - 1]).is_none());
        for at in [0, 3, 9, 11] {
            let mut bad = good.clone();
            bad[at] ^= 0x11;
            assert!(Header::read(&bad).is_none(), "{at}");
        }
    }
}
