//! Completing in software what a frame's sender left to hardware.

use hvm::packet::{Checksum, Offload, Packet};

/// Puts the checksum that is still missing into the frame. False if the frame has no room for it where it should be: nobody can send it.
pub fn complete(packet: &mut Packet) -> bool {
    let offload = packet.offload();
    let Checksum::Partial(sum) = offload.checksum else {
        return true;
    };
    let start = usize::from(sum.start);
    let place = start + usize::from(sum.offset);
    let frame = packet.frame_mut();
    if place + 2 > frame.len() {
        return false;
    }
    let value = fold(&frame[start..]);
    // In UDP a sum of zero would say that there is none (RFC 768); in TCP both zeros are the same.
    let value = if value == 0 { 0xffff } else { value };
    frame[place..place + 2].copy_from_slice(&value.to_be_bytes());
    packet.set_offload(Offload {
        checksum: Checksum::Valid,
        ..offload
    });
    true
}

/// The ones' complement of the ones' complement sum of 16-bit words (RFC 1071).
fn fold(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let sum: u64 = words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)))
        .sum();
    let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    let mut sum = sum + last;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::{PartialChecksum, Pool};
    use proptest::prelude::*;

    fn packet(frame: &[u8], start: u16, offset: u16) -> Packet {
        let mut packet = Pool::ordinary(1, 256).copy_of(frame).unwrap();
        packet.set_offload(Offload {
            checksum: Checksum::Partial(PartialChecksum { start, offset }),
            segmentation: None,
        });
        packet
    }

    #[test]
    fn rfc_1071s_example() {
        // Section 3: the sum of these is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(&bytes), !0xddf2);
    }

    proptest! {
        /// What was completed sums to all ones, whatever stood there.
        #[test]
        fn a_completed_frame_verifies(frame in proptest::collection::vec(any::<u8>(), 40..90), offset in 0u16..10) {
            let mut packet = packet(&frame, 20, 2 * offset);
            // The sum that stands there is part of the sum, as the pseudo-header's is.
            let before = fold(&packet.frame()[20..]);
            prop_assert!(complete(&mut packet));
            let place = 20 + 2 * usize::from(offset);
            let stored = u16::from_be_bytes([packet.frame()[place], packet.frame()[place + 1]]);
            prop_assert_eq!(stored, if before == 0 { 0xffff } else { before });
            prop_assert_eq!(&packet.frame()[place + 2..], &frame[place + 2..]);
        }

        #[test]
        fn any_place_is_answered(start in any::<u16>(), offset in any::<u16>()) {
            let mut packet = packet(&[0; 60], start, offset);
            let fits = usize::from(start) + usize::from(offset) + 2 <= 60;
            prop_assert_eq!(complete(&mut packet), fits);
        }
    }
}
