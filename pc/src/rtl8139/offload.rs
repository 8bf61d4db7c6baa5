//! What C+ mode does to frames on their way out: tags, checksums, cutting. A driver's frame is taken apart with every length checked;
//! what does not fit goes out as it is.

use super::bits::descriptor;
use hvm::checksum;
use hvm::packet::{Checksum, Cut, Offload, Packet, PartialChecksum, Segmentation};
use hvm::segment::Cutter;
use hvm::vlan::{self, TAG_BYTES};

/// Bytes of an Ethernet header.
pub const ETHERNET_BYTES: usize = 14;
/// Bytes of both addresses.
const ADDRESSES_BYTES: usize = 12;
/// A tag's protocol identifier.
const TAG: [u8; 2] = [0x81, 0x00];
const IP4: [u8; 2] = [0x08, 0x00];
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The most that the headers of a frame to be cut take: Ethernet, a tag, IPv4 and TCP with all options.
pub const MAX_HEADER_BYTES: usize = ETHERNET_BYTES + TAG_BYTES + 60 + 60;

/// Where the parts of a frame over IPv4 are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    ip: usize,
    transport: usize,
    protocol: u8,
    /// Where the IP packet ends.
    end: usize,
}

impl Layout {
    /// Reads the headers at the front of a frame of `frame_bytes`.
    fn read(headers: &[u8], frame_bytes: usize) -> Option<Self> {
        let ip = match headers.get(ADDRESSES_BYTES..ETHERNET_BYTES)? {
            kind if kind == IP4 => ETHERNET_BYTES,
            kind if kind == TAG && headers.get(16..18)? == IP4 => ETHERNET_BYTES + TAG_BYTES,
            _ => return None,
        };
        let header = headers.get(ip..ip + 20)?;
        let header_bytes = usize::from(header[0] & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let transport = ip + header_bytes;
        let fine = header[0] >> 4 == 4 && header_bytes >= 20 && headers.len() >= transport;
        fine.then_some(Self {
            ip,
            transport,
            protocol: header[9],
            end: (ip + total).clamp(transport, frame_bytes.max(transport)),
        })
    }

    fn sum_ip(&self, frame: &mut [u8]) {
        if let Some(header) = frame.get_mut(self.ip..self.transport) {
            header[10..12].fill(0);
            let sum = checksum::of(header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }

    /// Puts the pseudo-header's sum where the transport checksum goes, and says what is left to do.
    fn begin_transport(&self, frame: &mut [u8]) -> Option<PartialChecksum> {
        let offset = match self.protocol {
            TCP => 16,
            UDP => 6,
            _ => return None,
        };
        let place = self.transport + offset;
        if place + 2 > self.end || self.end > frame.len() {
            return None;
        }
        let addresses = &frame[self.ip + 12..self.ip + 20];
        let bytes = self.end - self.transport;
        let sum = checksum::pseudo_header(addresses, self.protocol, bytes);
        frame[place..place + 2].copy_from_slice(&sum.to_be_bytes());
        Some(PartialChecksum {
            start: self.transport as u16,
            offset: offset as u16,
        })
    }
}

/// Does to a whole frame what its first descriptor says. A checksum that the wire would not sum to the frame's end is done here.
pub fn finish(packet: &mut Packet, options: u32) {
    let bytes = packet.len();
    let Some(layout) = Layout::read(packet.frame(), bytes) else {
        return;
    };
    if options & descriptor::IP_CHECKSUM != 0 {
        layout.sum_ip(packet.frame_mut());
    }
    let wanted = match layout.protocol {
        TCP => options & descriptor::TCP_CHECKSUM != 0,
        UDP => options & descriptor::UDP_CHECKSUM != 0,
        _ => false,
    };
    if !wanted {
        return;
    }
    if let Some(partial) = layout.begin_transport(packet.frame_mut()) {
        packet.set_offload(Offload {
            checksum: Checksum::Partial(partial),
            segmentation: None,
        });
        if layout.end != bytes {
            // Padding behind the IP packet does not count, and a partial checksum would count it.
            packet.set_len(layout.end);
            packet.finish_checksum();
            packet.set_len(bytes);
        }
    }
}

/// Puts a tag in, the driver's 16 bits of it in network order. False if there is no room.
pub fn insert_tag(packet: &mut Packet, tag: u16) -> bool {
    vlan::insert(packet, tag.swap_bytes())
}

/// Takes the tag out of a frame, and gives it as the driver reads it; `None` if there is none.
pub fn remove_tag(packet: &mut Packet) -> Option<u16> {
    vlan::remove(packet).map(u16::swap_bytes)
}

/// What the first descriptor of a received frame says of its protocol: nothing, where nobody has looked at its checksum.
pub fn protocol(packet: &mut Packet) -> u32 {
    let known = match packet.offload().checksum {
        Checksum::Unknown => false,
        Checksum::Valid => true,
        Checksum::Partial(_) => packet.finish_checksum(),
    };
    let frame = packet.frame();
    let Some(layout) = Layout::read(frame, frame.len()).filter(|_| known) else {
        return 0;
    };
    let kind = match layout.protocol {
        TCP => descriptor::IS_TCP,
        UDP => descriptor::IS_UDP,
        _ => descriptor::IS_IP,
    };
    let right = checksum::of(&frame[layout.ip..layout.transport]) == 0;
    kind | if right { 0 } else { descriptor::IP_FAILED }
}

/// How a frame of `frame_bytes` that starts with `start` (all of it, or [`MAX_HEADER_BYTES`]) is cut into pieces of up to `segment_bytes` of
/// payload (large send). `None` if it is no TCP over IPv4.
pub fn cutter(start: &[u8], frame_bytes: usize, segment_bytes: u16) -> Option<Cutter> {
    let layout = Layout::read(start, frame_bytes)?;
    let tcp_bytes = usize::from(start.get(layout.transport + 12)? >> 4) * 4;
    if layout.protocol != TCP {
        return None;
    }
    let segmentation = Segmentation {
        cut: Cut::Tcp4,
        segment_bytes,
        header_bytes: (layout.transport + tcp_bytes) as u16,
    };
    Cutter::new(start, frame_bytes, layout.transport, segmentation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::Pool;
    use proptest::prelude::*;

    /// A frame of TCP over IPv4 with this payload, checksums left out.
    pub fn tcp(payload: &[u8]) -> alloc::vec::Vec<u8> {
        let mut frame = alloc::vec![0; 54];
        frame[12..14].copy_from_slice(&IP4);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        frame[18..20].copy_from_slice(&[0xff, 0xff]);
        frame[23] = TCP;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[38..42].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
        frame[46] = 5 << 4;
        frame[47] = 0x99;
        frame.extend(payload);
        frame
    }

    /// True if both checksums are right.
    fn sums_up(frame: &[u8]) -> bool {
        let layout = Layout::read(frame, frame.len()).unwrap();
        let segment = &frame[layout.transport..layout.end];
        let pseudo = checksum::pseudo_header(&frame[26..34], layout.protocol, segment.len());
        checksum::of(&frame[14..34]) == 0 && checksum::sum(pseudo, segment) == 0xffff
    }

    fn pool() -> &'static Pool {
        Pool::ordinary(2, 4096)
    }

    #[test]
    fn checksums_are_put_in_also_in_front_of_padding() {
        for padding in [0, 5] {
            let mut frame = tcp(b"x");
            frame.extend(alloc::vec![7; padding]);
            let mut packet = pool().copy_of(&frame).unwrap();
            finish(
                &mut packet,
                descriptor::IP_CHECKSUM | descriptor::TCP_CHECKSUM,
            );
            let expected = if padding == 0 { 34 } else { 0 };
            if let Checksum::Partial(partial) = packet.offload().checksum {
                assert_eq!(partial.start, expected);
            }
            assert!(packet.finish_checksum());
            assert!(sums_up(packet.frame()));
            assert_eq!(packet.len(), frame.len());
        }
    }

    #[test]
    fn tags_come_and_go() {
        let mut packet = pool().copy_of(&tcp(b"data")).unwrap();
        finish(
            &mut packet,
            descriptor::IP_CHECKSUM | descriptor::TCP_CHECKSUM,
        );
        assert!(insert_tag(&mut packet, 0x0500));
        assert_eq!(packet.frame()[12..18], [0x81, 0, 0, 5, 8, 0]);
        assert!(packet.finish_checksum());
        assert_eq!(protocol(&mut packet), descriptor::IS_TCP);
        assert_eq!(remove_tag(&mut packet), Some(0x0500));
        assert_eq!(remove_tag(&mut packet), None);
        assert!(sums_up(packet.frame()));
    }

    #[test]
    fn nobody_vouches_for_what_nobody_looked_at() {
        let mut packet = pool().copy_of(&tcp(b"data")).unwrap();
        assert_eq!(protocol(&mut packet), 0);
        let checked = Offload {
            checksum: Checksum::Valid,
            segmentation: None,
        };
        packet.set_offload(checked);
        assert_eq!(
            protocol(&mut packet),
            descriptor::IS_TCP | descriptor::IP_FAILED
        );
    }

    proptest! {
        #[test]
        fn any_frame_is_answered(frame in prop::collection::vec(any::<u8>(), 0..200), ip: bool, options: u32) {
            let mut frame = frame;
            if let (Some(kind), true) = (frame.get_mut(12..15), ip) {
                kind.copy_from_slice(&[8, 0, 0x45]);
            }
            let mut packet = pool().copy_of(&frame).unwrap();
            finish(&mut packet, options);
            protocol(&mut packet);
            let start = &frame[..frame.len().min(MAX_HEADER_BYTES)];
            if let Some(cutter) = cutter(start, frame.len(), 100) {
                cutter.write_headers(&mut packet, 0);
            }
        }
    }
}
