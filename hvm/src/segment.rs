//! Cutting a long TCP segment into frames that the wire takes, as cards with segmentation offload do.
//!
//! Every piece begins with the headers of the whole, in which lengths, the sequence number, IPv4's identification and flags are put right.
//! Its transport checksum stays partial ([`Checksum::Partial`]): a card, or [`Packet::finish_checksum`], completes it.

use crate::checksum;
use crate::packet::{Checksum, Cut, Offload, Packet, PartialChecksum, Pool, Segmentation};
use heapless::Vec;

/// The most that headers in front of a payload take: Ethernet, two tags, IPv4 and TCP with all options, and some room for IPv6's extensions.
pub const MAX_HEADER_BYTES: usize = 192;
/// Where an Ethernet header's type stands.
const TYPE: usize = 12;
const TAG_BYTES: usize = 4;
/// Types of customer and service tags (IEEE 802.1Q, table 9-1).
const TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
const MAX_TAGS: usize = 2;
const IP4_BYTES: usize = 20;
const IP6_BYTES: usize = 40;
const TCP_BYTES: usize = 20;
const TCP: u8 = 6;
/// Where in a TCP header its checksum stands.
const TCP_CHECKSUM: u16 = 16;

/// How one frame is cut.
#[derive(Clone, Debug)]
pub struct Cutter {
    headers: Vec<u8, MAX_HEADER_BYTES>,
    cut: Cut,
    ip: usize,
    transport: usize,
    segment_bytes: usize,
    payload_bytes: usize,
}

impl Cutter {
    /// For a frame of `frame_bytes` that starts with `start` (all of it, or at least its headers) and whose TCP header is at
    /// `transport`. `None` if its headers are not what `segmentation` says.
    pub fn new(
        start: &[u8],
        frame_bytes: usize,
        transport: usize,
        segmentation: Segmentation,
    ) -> Option<Self> {
        let mut ip = TYPE + 2;
        for _ in 0..MAX_TAGS {
            let kind = start.get(ip - 2..ip)?;
            ip += if TAGS.iter().any(|tag| kind == tag) {
                TAG_BYTES
            } else {
                0
            };
        }
        let header_bytes = usize::from(segmentation.header_bytes);
        let headers = start.get(..header_bytes)?;
        let network = headers.get(ip..transport)?;
        let fits = match segmentation.cut {
            Cut::Tcp4 => {
                network.len() >= IP4_BYTES
                    && network[0] >> 4 == 4
                    && usize::from(network[0] & 0xf) * 4 == network.len()
            }
            Cut::Tcp6 => network.len() >= IP6_BYTES && network[0] >> 4 == 6,
        };
        if !fits || header_bytes < transport + TCP_BYTES || segmentation.segment_bytes == 0 {
            return None;
        }
        Some(Self {
            headers: Vec::from_slice(headers).ok()?,
            cut: segmentation.cut,
            ip,
            transport,
            segment_bytes: segmentation.segment_bytes.into(),
            payload_bytes: frame_bytes.checked_sub(header_bytes)?,
        })
    }

    /// For a packet that is to be cut; `None` if it is not, or cannot be.
    pub fn of(packet: &Packet) -> Option<Self> {
        let Checksum::Partial(PartialChecksum { start, .. }) = packet.offload().checksum else {
            return None;
        };
        let segmentation = packet.offload().segmentation?;
        Self::new(packet.frame(), packet.len(), start.into(), segmentation)
    }

    /// Bytes of the headers, which each piece begins with.
    pub fn header_bytes(&self) -> usize {
        self.headers.len()
    }

    /// How many pieces there are: at least one.
    pub fn pieces(&self) -> usize {
        self.payload_bytes.div_ceil(self.segment_bytes).max(1)
    }

    /// Bytes of payload in the piece at `offset` of the payload; `None` behind the last.
    pub fn piece_bytes(&self, offset: usize) -> Option<usize> {
        let left = self.payload_bytes.checked_sub(offset)?;
        (left > 0 || offset == 0).then_some(left.min(self.segment_bytes))
    }

    /// Writes the headers of the piece at `offset` into the front of `packet`, whose payload is there already.
    pub fn write_headers(&self, packet: &mut Packet, offset: usize) {
        let bytes = packet.len();
        let frame = packet.frame_mut();
        let Some(headers) = frame.get_mut(..self.headers.len()) else {
            return;
        };
        headers.copy_from_slice(&self.headers);
        let (network, tcp) = headers.split_at_mut(self.transport);
        let number = (offset / self.segment_bytes) as u16;
        let addresses = self.write_network(&mut network[self.ip..], bytes, number);
        let sum = checksum::pseudo_header(addresses, TCP, bytes - self.transport);
        let at = usize::from(TCP_CHECKSUM);
        tcp[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self.write_tcp(tcp, offset, bytes - self.headers.len());
        packet.set_offload(Offload {
            checksum: Checksum::Partial(PartialChecksum {
                start: self.transport as u16,
                offset: TCP_CHECKSUM,
            }),
            segmentation: None,
        });
    }

    /// Puts the IP header of a piece of a frame of `bytes` right, and gives its addresses.
    fn write_network<'a>(&self, header: &'a mut [u8], bytes: usize, number: u16) -> &'a [u8] {
        let behind_ethernet = bytes - self.ip;
        match self.cut {
            Cut::Tcp4 => {
                put(&mut header[2..4], behind_ethernet as u16);
                let identification = get(&header[4..6]);
                put(&mut header[4..6], identification.wrapping_add(number));
                put(&mut header[10..12], 0);
                let sum = checksum::of(header);
                put(&mut header[10..12], sum);
                &header[12..20]
            }
            Cut::Tcp6 => {
                put(&mut header[4..6], (behind_ethernet - IP6_BYTES) as u16);
                &header[8..40]
            }
        }
    }

    fn write_tcp(&self, header: &mut [u8], offset: usize, piece_bytes: usize) {
        /// TCP flags: congestion window reduced goes with the first piece, push and end with the last (RFC 3168, 6.1.2; RFC 9293, 3.1).
        const REDUCED: u8 = 0x80;
        const PUSH: u8 = 0x08;
        const END: u8 = 0x01;
        let sequence = header[4..8].try_into().map_or(0, u32::from_be_bytes);
        let here = sequence.wrapping_add(offset as u32);
        header[4..8].copy_from_slice(&here.to_be_bytes());
        let flags = &mut header[13];
        if offset > 0 {
            *flags &= !REDUCED;
        }
        if offset + piece_bytes < self.payload_bytes {
            *flags &= !(PUSH | END);
        }
    }
}

fn get(field: &[u8]) -> u16 {
    field.try_into().map_or(0, u16::from_be_bytes)
}

fn put(field: &mut [u8], value: u16) {
    field.copy_from_slice(&value.to_be_bytes());
}

/// The pieces of a packet, each in a packet of its own, in order. It ends early where a pool has no packet left.
pub struct Pieces<'a> {
    whole: &'a Packet,
    cutter: &'a Cutter,
    pool: &'static Pool,
    offset: usize,
}

impl<'a> Pieces<'a> {
    /// Of `whole`, for which `cutter` was made, in packets of `pool`.
    pub fn new(whole: &'a Packet, cutter: &'a Cutter, pool: &'static Pool) -> Self {
        Self {
            whole,
            cutter,
            pool,
            offset: 0,
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Packet;

    fn next(&mut self) -> Option<Packet> {
        let bytes = self.cutter.piece_bytes(self.offset)?;
        let header_bytes = self.cutter.header_bytes();
        let from = header_bytes + self.offset;
        let payload = self.whole.frame().get(from..from + bytes)?;
        let mut packet = self.pool.packet()?;
        let room = packet.room().get_mut(header_bytes..header_bytes + bytes)?;
        room.copy_from_slice(payload);
        packet.set_len(header_bytes + bytes);
        self.cutter.write_headers(&mut packet, self.offset);
        // An empty payload makes one piece, and then it is over.
        self.offset += bytes.max(1);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    /// A frame of TCP with this payload, checksums left out, and where its TCP header is.
    fn frame(cut: Cut, tags: usize, payload: &[u8]) -> (std::vec::Vec<u8>, usize) {
        let mut frame = vec![2; TYPE];
        for _ in 0..tags {
            frame.extend([0x81, 0x00, 0x00, 0x07]);
        }
        let tcp_bytes = 32 + payload.len();
        match cut {
            Cut::Tcp4 => {
                frame.extend([0x08, 0x00, 0x45, 0]);
                frame.extend(((IP4_BYTES + tcp_bytes) as u16).to_be_bytes());
                frame.extend([0xff, 0xff, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            }
            Cut::Tcp6 => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend((tcp_bytes as u16).to_be_bytes());
                frame.extend([TCP, 64]);
                frame.extend([0xfe; 32]);
            }
        }
        let transport = frame.len();
        frame.extend([0, 1, 0, 2, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 9, 8 << 4, 0x99]);
        frame.extend([0xff, 0xff, 0, 0, 0, 0]);
        frame.extend([1; 12]);
        frame.extend(payload);
        (frame, transport)
    }

    fn segmentation(cut: Cut, transport: usize, segment_bytes: u16) -> Segmentation {
        Segmentation {
            cut,
            segment_bytes,
            header_bytes: transport as u16 + 32,
        }
    }

    fn is_summed(cut: Cut, frame: &[u8], ip: usize, transport: usize) -> bool {
        let (addresses, network) = match cut {
            Cut::Tcp4 => (
                &frame[ip + 12..ip + 20],
                checksum::of(&frame[ip..transport]),
            ),
            Cut::Tcp6 => (&frame[ip + 8..ip + 40], 0),
        };
        let segment = &frame[transport..];
        let pseudo = checksum::pseudo_header(addresses, TCP, segment.len());
        network == 0 && checksum::sum(pseudo, segment) == 0xffff
    }

    proptest! {
        #[test]
        fn pieces_are_whole_frames_that_add_up(
            payload in prop::collection::vec(any::<u8>(), 0..5000), segment_bytes in 100_u16..2000, six: bool, tags in 0_usize..3,
        ) {
            let cut = if six { Cut::Tcp6 } else { Cut::Tcp4 };
            let (bytes, transport) = frame(cut, tags, &payload);
            let pool = Pool::ordinary(60, 6000);
            let mut packet = pool.copy_of(&bytes).unwrap();
            packet.set_offload(Offload {
                checksum: Checksum::Partial(PartialChecksum { start: transport as u16, offset: TCP_CHECKSUM }),
                segmentation: Some(segmentation(cut, transport, segment_bytes)),
            });
            let cutter = Cutter::of(&packet).unwrap();
            let ip = TYPE + 2 + tags * TAG_BYTES;
            let (mut whole, mut count) = (vec![], 0);
            for mut piece in Pieces::new(&packet, &cutter, pool) {
                prop_assert!(piece.offload().segmentation.is_none());
                prop_assert!(piece.finish_checksum());
                let piece = piece.frame();
                prop_assert!(is_summed(cut, piece, ip, transport));
                let offset = whole.len();
                let sequence = u32::from_be_bytes(piece[transport + 4..transport + 8].try_into().unwrap());
                prop_assert_eq!(sequence, 0xffff_fff0_u32.wrapping_add(offset as u32));
                whole.extend_from_slice(&piece[cutter.header_bytes()..]);
                let last = whole.len() == payload.len();
                prop_assert_eq!(piece[transport + 13] & 9, if last { 9 } else { 0 });
                prop_assert_eq!(piece[transport + 13] & 0x80, if offset == 0 { 0x80 } else { 0 });
                count += 1;
            }
            prop_assert_eq!(whole, payload);
            prop_assert_eq!(count, cutter.pieces());
        }

        #[test]
        fn any_frame_is_answered(
            bytes in prop::collection::vec(any::<u8>(), 0..200), transport in 0_usize..100, segment_bytes: u16, header_bytes: u16, six: bool,
        ) {
            let cut = if six { Cut::Tcp6 } else { Cut::Tcp4 };
            let segmentation = Segmentation { cut, segment_bytes, header_bytes };
            if let Some(cutter) = Cutter::new(&bytes, bytes.len(), transport, segmentation) {
                let mut packet = Pool::ordinary(1, 512).copy_of(&bytes).unwrap();
                cutter.write_headers(&mut packet, 0);
            }
        }
    }

    #[test]
    fn a_pool_that_runs_dry_ends_it() {
        let (bytes, transport) = frame(Cut::Tcp4, 0, &[0; 1000]);
        let pool = Pool::ordinary(3, 2000);
        let packet = pool.copy_of(&bytes).unwrap();
        let segmentation = segmentation(Cut::Tcp4, transport, 100);
        let cutter = Cutter::new(packet.frame(), packet.len(), transport, segmentation).unwrap();
        let pieces: std::vec::Vec<_> = Pieces::new(&packet, &cutter, pool).collect();
        assert_eq!((pieces.len(), cutter.pieces()), (2, 10));
    }
}
