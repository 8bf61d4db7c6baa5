//! What is read of a TCP segment's headers, and what of two must agree (RFC 9293, 3.1; RFC 791; RFC 8200).

use super::Kind;
use hvm::backend::Cuts;
use hvm::checksum::{self, Sum};
use hvm::packet::{Checksum, Cut, Offload, Packet};

/// Bytes of an Ethernet header, and where its type stands.
const ETHERNET_BYTES: usize = 14;
const TYPE: usize = 12;
const IP4_BYTES: usize = 20;
const IP6_BYTES: usize = 40;
const TCP_BYTES: usize = 20;
const TCP: u8 = 6;
/// IPv4: no fragments, so neither "more" nor an offset.
const FRAGMENT: u16 = 0x3fff;
/// IPv4: it must not be cut, and its identification means nothing (RFC 6864).
const WHOLE: u8 = 0x40;
/// TCP flags.
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// The one option that acknowledgements have which mean nothing else: two fillers and a time stamp (RFC 7323, appendix A).
const TIME_STAMP: [u8; 4] = [1, 1, 8, 10];
const TIME_STAMP_BYTES: usize = 12;

/// Which conversation a frame is of: addresses and ports, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Over IPv4.
    V4([u8; 12]),
    /// Over IPv6.
    V6([u8; 36]),
}

/// Where the parts of a frame are, and what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub cut: Cut,
    /// Where the TCP header is.
    pub transport: usize,
    payload: usize,
    /// Where the IP packet ends.
    end: usize,
    pub sequence: u32,
    pub acknowledgement: u32,
    flags: u8,
}

impl Segment {
    /// Reads a frame; `None` if it is not TCP right behind Ethernet and IP without options, whole.
    #[inline]
    pub fn read(frame: &[u8]) -> Option<(Flow, Self)> {
        let (cut, transport, ip_bytes) = match frame.get(TYPE..TYPE + 3)? {
            [0x08, 0x00, 0x45] => {
                let header = frame.get(ETHERNET_BYTES..ETHERNET_BYTES + IP4_BYTES)?;
                if header[9] != TCP || word(header, 6) & FRAGMENT != 0 {
                    return None;
                }
                let transport = ETHERNET_BYTES + IP4_BYTES;
                (Cut::Tcp4, transport, usize::from(word(header, 2)))
            }
            [0x86, 0xdd, version] if version >> 4 == 6 => {
                let header = frame.get(ETHERNET_BYTES..ETHERNET_BYTES + IP6_BYTES)?;
                if header[6] != TCP {
                    return None;
                }
                let transport = ETHERNET_BYTES + IP6_BYTES;
                (
                    Cut::Tcp6,
                    transport,
                    IP6_BYTES + usize::from(word(header, 4)),
                )
            }
            _ => return None,
        };
        let tcp = frame.get(transport..transport + TCP_BYTES)?;
        let payload = transport + usize::from(tcp[12] >> 4) * 4;
        let end = ETHERNET_BYTES + ip_bytes;
        if payload < transport + TCP_BYTES || end < payload || end > frame.len() {
            return None;
        }
        let flow = match cut {
            Cut::Tcp4 => Flow::V4(*frame.get(transport - 8..)?.first_chunk()?),
            Cut::Tcp6 => Flow::V6(*frame.get(transport - 32..)?.first_chunk()?),
        };
        let segment = Self {
            cut,
            transport,
            payload,
            end,
            sequence: double(tcp, 4),
            acknowledgement: double(tcp, 8),
            flags: tcp[13],
        };
        Some((flow, segment))
    }

    /// What it could be a train of, for a card that takes long frames as `takes` says.
    #[inline]
    pub fn kind(&self, takes: Cuts) -> Option<Kind> {
        match self.payload_bytes() {
            0 if self.flags == ACK => Some(Kind::Acknowledgement { count: 1 }),
            0 => None,
            segment_bytes if self.flags & !PUSH == ACK && takes.contains(self.cut.into()) => {
                Some(Kind::Data { segment_bytes })
            }
            _ => None,
        }
    }

    /// Bytes in front of the payload.
    pub fn header_bytes(&self) -> usize {
        self.payload
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.end - self.payload
    }

    /// Bytes of the IP packet.
    pub fn ip_bytes(&self) -> usize {
        self.end - ETHERNET_BYTES
    }

    /// The sequence number behind it.
    pub fn next(&self) -> u32 {
        self.sequence.wrapping_add(self.payload_bytes() as u32)
    }

    /// Whether the sender wants it handed over at once.
    pub fn pushes(&self) -> bool {
        self.flags & PUSH != 0
    }

    /// What a frame says that agrees with this one in all that the pieces of one long segment have in common. Its
    /// place and its length are not looked at, but that it has one.
    #[inline]
    pub fn continued_by(&self, own: &[u8], theirs: &[u8]) -> Option<Self> {
        let alike = match self.cut {
            Cut::Tcp4 => {
                let (own, theirs) = (own.first_chunk::<54>()?, theirs.first_chunk::<54>()?);
                // All but length, identification and checksum.
                same_network4(own, theirs)
                    && same::<8>(own, theirs, 26)
                    && same_transport(own, theirs, 34)
            }
            Cut::Tcp6 => {
                let (own, theirs) = (own.first_chunk::<74>()?, theirs.first_chunk::<74>()?);
                same_network6(own, theirs)
                    && (22..54).step_by(8).all(|at| same::<8>(own, theirs, at))
                    && same_transport(own, theirs, 54)
            }
        };
        let end = match self.cut {
            Cut::Tcp4 => ETHERNET_BYTES + usize::from(word(theirs, 16)),
            Cut::Tcp6 => ETHERNET_BYTES + IP6_BYTES + usize::from(word(theirs, 18)),
        };
        let segment = Self {
            end,
            sequence: double(theirs, self.transport + 4),
            flags: theirs[self.transport + 13],
            ..*self
        };
        let fits = (self.payload..=theirs.len()).contains(&end);
        let flags = (self.flags ^ segment.flags) & !PUSH == 0;
        (alike && fits && flags && self.same_options(own, theirs)).then_some(segment)
    }

    /// Whether it has the identification of the `number`th piece behind this one, where that means anything.
    #[inline]
    pub fn numbers(&self, own: &[u8], theirs: &[u8], number: u16) -> bool {
        self.cut == Cut::Tcp6
            || own[20] & WHOLE != 0
            || word(own, 18).wrapping_add(number) == word(theirs, 18)
    }

    /// Whether an acknowledgement says all that this one does.
    pub fn is_superseded(&self, own: &[u8], other: &Self, theirs: &[u8]) -> bool {
        let options = own.get(self.transport + TCP_BYTES..self.payload);
        let are_plain = match options {
            Some([]) => true,
            Some(options) => options.len() == TIME_STAMP_BYTES && options.starts_with(&TIME_STAMP),
            None => false,
        };
        are_plain
            && self.payload == other.payload
            && self.same_network(own, theirs)
            && (self.payload == self.transport + TCP_BYTES
                || self.tcp(theirs, 20, 24) == Some(&TIME_STAMP[..]))
    }

    /// The same options, in dwords.
    fn same_options(&self, own: &[u8], theirs: &[u8]) -> bool {
        let from = self.transport + TCP_BYTES;
        (from..self.payload)
            .step_by(4)
            .all(|at| double(own, at) == double(theirs, at))
    }

    /// The same Ethernet header and IP headers, but for lengths, identification and checksum.
    fn same_network(&self, own: &[u8], theirs: &[u8]) -> bool {
        let frames = (own.first_chunk::<54>(), theirs.first_chunk::<54>());
        let (Some(own), Some(theirs)) = frames else {
            return false;
        };
        match self.cut {
            Cut::Tcp4 => same_network4(own, theirs),
            Cut::Tcp6 => same_network6(own, theirs),
        }
    }

    fn tcp<'a>(&self, frame: &'a [u8], from: usize, to: usize) -> Option<&'a [u8]> {
        frame.get(self.transport + from..self.transport + to)
    }

    /// One of a train wants to be handed over at once: the whole does.
    pub fn push(&self, frame: &mut [u8]) {
        if let Some(flags) = frame.get_mut(self.transport + 13) {
            *flags |= PUSH;
        }
    }

    /// Puts the headers right for a payload of so many bytes; of the checksum, the pseudo-header's sum.
    pub fn lengthen(&self, frame: &mut [u8], payload_bytes: usize) {
        let tcp_bytes = self.payload - self.transport + payload_bytes;
        let ip_bytes = self.transport - ETHERNET_BYTES + tcp_bytes;
        let Some((network, tcp)) = frame.split_at_mut_checked(self.transport) else {
            return;
        };
        let network = &mut network[ETHERNET_BYTES..];
        let addresses = match self.cut {
            Cut::Tcp4 => {
                network[2..4].copy_from_slice(&(ip_bytes as u16).to_be_bytes());
                network[10..12].fill(0);
                let sum = checksum::of(network);
                network[10..12].copy_from_slice(&sum.to_be_bytes());
                &network[12..20]
            }
            Cut::Tcp6 => {
                network[4..6].copy_from_slice(&(tcp_bytes as u16).to_be_bytes());
                &network[8..40]
            }
        };
        let sum = checksum::pseudo_header(addresses, TCP, tcp_bytes);
        if let Some(place) = tcp.get_mut(16..18) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// Whether a frame could be TCP, by no more than where IPv4 and IPv6 name it.
#[inline]
pub fn may_be_tcp(frame: &[u8]) -> bool {
    let bytes = frame.first_chunk::<{ ETHERNET_BYTES + IP4_BYTES }>();
    bytes.is_some_and(|bytes| bytes[ETHERNET_BYTES + 9] == TCP || bytes[ETHERNET_BYTES + 6] == TCP)
}

/// Whether a frame's checksums are right, or are none of ours because its sender is near; looks where nobody has, and then says so.
#[inline]
pub fn is_sound(packet: &mut Packet, segment: &Segment) -> bool {
    let frame = packet.frame();
    let Some(network) = frame.get(ETHERNET_BYTES..segment.transport) else {
        return false;
    };
    let tcp_bytes = segment.end - segment.transport;
    let mut tcp = match segment.cut {
        Cut::Tcp4 => {
            let Some(header) = network.first_chunk::<IP4_BYTES>() else {
                return false;
            };
            let mut sum = Sum::default();
            sum.add_header(header);
            if sum.word() != 0xffff {
                return false;
            }
            Sum::pseudo_header(&header[12..20], TCP, tcp_bytes)
        }
        Cut::Tcp6 => {
            let Some(header) = network.first_chunk::<IP6_BYTES>() else {
                return false;
            };
            Sum::pseudo_header(&header[8..40], TCP, tcp_bytes)
        }
    };
    if packet.offload().checksum != Checksum::Unknown {
        return true;
    }
    tcp.add_bytes(&frame[segment.transport..segment.end]);
    if tcp.word() != 0xffff {
        return false;
    }
    packet.set_offload(Offload::VALID);
    true
}

/// Up to the type of service; flags, time to live and protocol.
#[inline]
fn same_network4(own: &[u8], theirs: &[u8]) -> bool {
    same::<8>(own, theirs, 0) && same::<8>(own, theirs, 8) && same::<4>(own, theirs, 20)
}

/// Up to the flow label; next header and hop limit.
#[inline]
fn same_network6(own: &[u8], theirs: &[u8]) -> bool {
    same::<8>(own, theirs, 0)
        && same::<8>(own, theirs, 8)
        && same::<2>(own, theirs, 16)
        && same::<2>(own, theirs, 20)
}

/// Ports, acknowledgement, header length, window and urgent pointer of TCP headers at `at`.
#[inline]
fn same_transport(own: &[u8], theirs: &[u8], at: usize) -> bool {
    same::<4>(own, theirs, at)
        && same::<4>(own, theirs, at + 8)
        && own[at + 12] == theirs[at + 12]
        && same::<2>(own, theirs, at + 14)
        && same::<2>(own, theirs, at + 18)
}

/// The same bytes at `at`.
#[inline(always)]
fn same<const BYTES: usize>(own: &[u8], theirs: &[u8], at: usize) -> bool {
    own[at..at + BYTES] == theirs[at..at + BYTES]
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn double(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
