//! Frames that a card is to complete or to cut, whatever its descriptors look like.

use hvm::checksum;
use hvm::packet::{Checksum, Cut, Packet, PartialChecksum, Segmentation};

const TCP: u8 = 6;
/// The longest headers that every card of ours takes.
const MOST_HEADER_BYTES: usize = 127;

/// Where the IP header starts: behind the Ethernet header and its tags.
pub fn network(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    for _ in 0..2 {
        if !matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
            break;
        }
        at += 4;
    }
    Some(at + 2)
}

/// Whether a frame that is to be cut is one that can be: headers of sound length, TCP's sum where it belongs.
pub fn can_cut(packet: &Packet) -> bool {
    let (Checksum::Partial(sum), Some(segmentation)) =
        (packet.offload().checksum, packet.offload().segmentation)
    else {
        return false;
    };
    let frame = packet.frame();
    let Some(ip) = network(frame) else {
        return false;
    };
    let transport = usize::from(sum.start);
    let (header, protocol) = match segmentation.cut {
        Cut::Tcp4 => (20, 9),
        Cut::Tcp6 => (40, 6),
    };
    let header_bytes = usize::from(segmentation.header_bytes);
    ip + header <= transport
        && frame.get(ip + protocol) == Some(&TCP)
        && sum.offset == 16
        && header_bytes <= MOST_HEADER_BYTES
        && header_bytes >= transport + 20
        && header_bytes <= packet.len()
        && segmentation.segment_bytes > 0
}

/// Takes the length out of the pseudo-header's sum of a frame that is to be cut: it differs from piece to piece.
pub fn forget_length(packet: &mut Packet, sum: PartialChecksum) -> Option<()> {
    let bytes = packet.whole_len();
    let transport = usize::from(sum.start);
    let segment_bytes = bytes.checked_sub(transport)?;
    let place = packet
        .frame_mut()
        .get_mut(transport + usize::from(sum.offset)..)?;
    let [high, low] = *place.first_chunk()?;
    let length = checksum::sum(0, &(segment_bytes as u32).to_be_bytes());
    let without = checksum::sum(u16::from_be_bytes([high, low]), &(!length).to_be_bytes());
    place[..2].copy_from_slice(&without.to_be_bytes());
    Some(())
}

/// Clears what a card is to fill in of the IP header of each piece, as Intel's want it; gives where that header starts.
pub fn clear_lengths(
    packet: &mut Packet,
    sum: PartialChecksum,
    segmentation: Segmentation,
) -> Option<usize> {
    forget_length(packet, sum)?;
    let frame = packet.frame_mut();
    let ip = network(frame)?;
    match segmentation.cut {
        Cut::Tcp4 => {
            let header = frame.get_mut(ip..usize::from(sum.start))?;
            header.get_mut(2..4)?.fill(0);
            header.get_mut(10..12)?.fill(0);
        }
        Cut::Tcp6 => frame.get_mut(ip + 4..ip + 6)?.fill(0),
    }
    Some(ip)
}
