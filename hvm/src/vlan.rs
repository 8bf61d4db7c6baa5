//! VLAN tags in frames (IEEE 802.1Q, 9.5).

use crate::packet::{Checksum, Offload, Packet, PartialChecksum, Segmentation};

/// Bytes of both addresses, behind which a tag stands.
const ADDRESSES_BYTES: usize = 12;
/// Bytes of a tag, and its protocol identifier.
pub const TAG_BYTES: usize = 4;
const TAG: [u8; 2] = [0x81, 0x00];

/// Puts a tag with this control information (priority and VLAN) in. False, and nothing changed but perhaps unused room, if there is none for
/// it.
pub fn insert(packet: &mut Packet, control: u16) -> bool {
    let offload = packet.offload();
    let Some(frame) = packet.prepend(TAG_BYTES) else {
        return false;
    };
    if frame.len() < ADDRESSES_BYTES + TAG_BYTES {
        packet.strip(TAG_BYTES);
        return false;
    }
    frame.copy_within(TAG_BYTES..TAG_BYTES + ADDRESSES_BYTES, 0);
    frame[12..14].copy_from_slice(&TAG);
    frame[14..16].copy_from_slice(&control.to_be_bytes());
    packet.set_offload(moved(offload, |at| at.saturating_add(TAG_BYTES as u16)));
    true
}

/// Takes the tag out of a frame, and gives its control information; `None` if there is none.
pub fn remove(packet: &mut Packet) -> Option<u16> {
    let offload = packet.offload();
    let frame = packet.frame_mut();
    if frame.len() < ADDRESSES_BYTES + TAG_BYTES + 2 || frame[12..14] != TAG {
        return None;
    }
    let control = u16::from_be_bytes([frame[14], frame[15]]);
    frame.copy_within(..ADDRESSES_BYTES, TAG_BYTES);
    packet.strip(TAG_BYTES);
    packet.set_offload(moved(offload, |at| at.saturating_sub(TAG_BYTES as u16)));
    Some(control)
}

/// What is to be done to a frame, with its places elsewhere.
fn moved(offload: Offload, to: impl Fn(u16) -> u16) -> Offload {
    let checksum = match offload.checksum {
        Checksum::Partial(PartialChecksum { start, offset }) => {
            Checksum::Partial(PartialChecksum {
                start: to(start),
                offset,
            })
        }
        known => known,
    };
    let segmentation = offload.segmentation.map(|segmentation| Segmentation {
        header_bytes: to(segmentation.header_bytes),
        ..segmentation
    });
    Offload {
        checksum,
        segmentation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Cut, Pool};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tags_come_and_go(frame in prop::collection::vec(any::<u8>(), 0..100), control: u16, start in 0_u16..1000) {
            let mut packet = Pool::ordinary(1, 200).copy_of(&frame).unwrap();
            let offload = Offload {
                checksum: Checksum::Partial(PartialChecksum { start, offset: 16 }),
                segmentation: Some(Segmentation { cut: Cut::Tcp4, segment_bytes: 9, header_bytes: start + 20 }),
            };
            packet.set_offload(offload);
            let done = insert(&mut packet, control);
            prop_assert_eq!(done, frame.len() >= ADDRESSES_BYTES);
            if frame.len() >= ADDRESSES_BYTES + 2 {
                prop_assert_eq!(&packet.frame()[12..14], &TAG);
                let Checksum::Partial(moved) = packet.offload().checksum else { unreachable!() };
                prop_assert_eq!(moved.start, start + 4);
                prop_assert_eq!(remove(&mut packet), Some(control));
            }
            if frame.len() >= ADDRESSES_BYTES + 2 || !done {
                prop_assert_eq!(packet.frame(), &frame[..]);
                prop_assert_eq!(packet.offload(), offload);
            }
        }
    }
}
