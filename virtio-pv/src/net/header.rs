//! Between the header in front of a frame and what the rest of Monovisor knows of it.

use super::bits::{self, Header, gso};
use crate::features::Features;
use hvm::packet::{Checksum, Cut, Offload, Packet, PartialChecksum, Segmentation};

/// Bytes of the fixed part of a TCP header, and where in it its length stands.
const TCP_BYTES: usize = 20;
const TCP_LENGTH: usize = 12;

/// What a driver with `features` asks to be done to `frame`; `None` if it asks for nonsense: the frame is lost, as one with a bad checksum
/// would be. Every number in the header is an allegation.
pub fn offload(header: &Header, features: Features, frame: &[u8]) -> Option<Offload> {
    let mut offload = Offload::default();
    if header.flags & bits::NEEDS_CHECKSUM != 0 && features.contains(bits::CHECKSUM) {
        let start = usize::from(header.checksum_start);
        if start + usize::from(header.checksum_offset) + 2 > frame.len() {
            return None;
        }
        offload.checksum = Checksum::Partial(PartialChecksum {
            start: header.checksum_start,
            offset: header.checksum_offset,
        });
    }
    let cut = match header.gso {
        gso::NONE => return Some(offload),
        gso::TCP4 if features.contains(bits::HOST_TSO4) => Cut::Tcp4,
        gso::TCP6 if features.contains(bits::HOST_TSO6) => Cut::Tcp6,
        _ => return None,
    };
    let Checksum::Partial(PartialChecksum { start, offset: 16 }) = offload.checksum else {
        return None;
    };
    let tcp = frame.get(usize::from(start)..)?;
    let tcp_bytes = usize::from(tcp.get(TCP_LENGTH)? >> 4) * 4;
    let header_bytes = u16::try_from(usize::from(start) + tcp_bytes).ok()?;
    let fine = header.segment_bytes != 0 && (TCP_BYTES..=tcp.len()).contains(&tcp_bytes);
    offload.segmentation = fine.then_some(Segmentation {
        cut,
        segment_bytes: header.segment_bytes,
        header_bytes,
    });
    fine.then_some(offload)
}

/// Makes a frame fit for a driver that takes `accepted` (the guest offloads), and says what stands before it; the number of buffers is
/// 1. `None` if it cannot be made fit.
pub fn describe(packet: &mut Packet, accepted: Features) -> Option<Header> {
    let mut header = Header {
        buffers: 1,
        ..Header::default()
    };
    if let Some(segmentation) = packet.offload().segmentation {
        let (feature, kind) = match segmentation.cut {
            Cut::Tcp4 => (bits::GUEST_TSO4, gso::TCP4),
            Cut::Tcp6 => (bits::GUEST_TSO6, gso::TCP6),
        };
        if !accepted.contains(feature | bits::GUEST_CHECKSUM) {
            return None;
        }
        header.gso = kind;
        header.segment_bytes = segmentation.segment_bytes;
        header.header_bytes = segmentation.header_bytes;
    }
    if !accepted.contains(bits::GUEST_CHECKSUM) {
        return packet.finish_checksum().then_some(header);
    }
    match packet.offload().checksum {
        Checksum::Unknown => {}
        Checksum::Valid => header.flags = bits::DATA_VALID,
        Checksum::Partial(PartialChecksum { start, offset }) => {
            header.flags = bits::NEEDS_CHECKSUM;
            header.checksum_start = start;
            header.checksum_offset = offset;
        }
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::Pool;
    use proptest::prelude::*;

    const ALL: Features = Features::from_bits_retain(!0);

    /// A frame of 100 bytes whose TCP header, of 32 bytes, starts at 34.
    fn frame() -> [u8; 100] {
        let mut frame = [0; 100];
        frame[34 + TCP_LENGTH] = 8 << 4;
        frame
    }

    const LONG: Header = Header {
        flags: bits::NEEDS_CHECKSUM,
        gso: gso::TCP4,
        header_bytes: 0,
        segment_bytes: 1448,
        checksum_start: 34,
        checksum_offset: 16,
        buffers: 0,
    };

    #[test]
    fn a_long_frame_goes_there_and_back() {
        let offload = offload(&LONG, ALL, &frame()).unwrap();
        let segmentation = Segmentation {
            cut: Cut::Tcp4,
            segment_bytes: 1448,
            header_bytes: 66,
        };
        assert_eq!(offload.segmentation, Some(segmentation));
        let mut packet = Pool::ordinary(1, 256).copy_of(&frame()).unwrap();
        packet.set_offload(offload);
        let header = describe(&mut packet, ALL).unwrap();
        let expected = Header {
            header_bytes: 66,
            buffers: 1,
            ..LONG
        };
        assert_eq!(header, expected);
        assert_eq!(describe(&mut packet, bits::GUEST_CHECKSUM), None);
    }

    #[test]
    fn nonsense_is_no_offload() {
        for bad in [
            Header {
                gso: gso::TCP6 | 0x80,
                ..LONG
            },
            Header { flags: 0, ..LONG },
            Header {
                segment_bytes: 0,
                ..LONG
            },
            Header {
                checksum_start: 90,
                ..LONG
            },
            Header {
                checksum_start: u16::MAX,
                checksum_offset: u16::MAX,
                ..LONG
            },
            Header {
                checksum_offset: 6,
                ..LONG
            },
            Header {
                checksum_start: 35,
                ..LONG
            },
        ] {
            assert_eq!(offload(&bad, ALL, &frame()), None, "{bad:?}");
        }
        assert_eq!(offload(&LONG, bits::CHECKSUM, &frame()), None);
    }

    #[test]
    fn a_driver_that_wants_checksums_gets_them() {
        let mut packet = Pool::ordinary(1, 256).copy_of(&frame()).unwrap();
        let checksum = Checksum::Partial(PartialChecksum {
            start: 34,
            offset: 16,
        });
        packet.set_offload(Offload {
            checksum,
            segmentation: None,
        });
        let header = describe(&mut packet, Features::empty()).unwrap();
        assert_eq!(header.flags, 0);
        assert_ne!(packet.frame()[50..52], [0, 0]);
    }

    proptest! {
        #[test]
        fn any_header_is_answered_within_the_frame(
            flags: u8, gso: u8, segment_bytes: u16, checksum_start: u16, checksum_offset: u16, frame: alloc::vec::Vec<u8>,
        ) {
            let header = Header { flags, gso, header_bytes: 0, segment_bytes, checksum_start, checksum_offset, buffers: 0 };
            if let Some(offload) = offload(&header, ALL, &frame) {
                if let Checksum::Partial(partial) = offload.checksum {
                    prop_assert!(usize::from(partial.start) + usize::from(partial.offset) + 2 <= frame.len());
                }
                if let Some(segmentation) = offload.segmentation {
                    prop_assert!(usize::from(segmentation.header_bytes) <= frame.len());
                    prop_assert!(segmentation.segment_bytes > 0);
                }
            }
        }
    }
}
