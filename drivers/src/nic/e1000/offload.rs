//! Descriptors that have the card complete checksums and cut frames (8254x, 3.3.5 to 3.3.7).
//!
//! A context descriptor says where the parts of the frames behind it are; data descriptors refer to it. Legacy descriptors can ask for a
//! checksum, too, but QEMU's cards do not know of that.

use super::bits::*;
use hvm::checksum;
use hvm::packet::{Checksum, Cut, Packet, PartialChecksum, Segmentation};

/// A descriptor's dwords.
pub type Words = [u32; 4];

/// The most that one data descriptor is given of a frame that is to be cut; whole frames are shorter.
pub const MAX_PIECE_BYTES: usize = 4096;
const TCP: u8 = 6;

/// Whether the card can complete this sum: its fields count from the frame's first byte, in eight bits.
pub fn can_sum(packet: &Packet, sum: PartialChecksum) -> bool {
    let place = sum.start.checked_add(sum.offset);
    place.is_some_and(|place| u8::try_from(place).is_ok() && usize::from(place) + 2 <= packet.len())
}

/// What the card is asked to do to a frame; the first dwords of a context descriptor, and what data descriptors say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The context.
    pub context: Words,
    /// Command bits of the data descriptors, beside those of any.
    pub command: Command,
    /// Their options.
    pub options: Options,
}

/// A frame's work, which it has by its offload; [`can_sum`] has agreed. A frame that is to be cut is prepared for it: lengths
/// differ from piece to piece, so the pseudo-header's sum is to be without.
pub fn work(packet: &mut Packet) -> Option<Work> {
    let Checksum::Partial(sum) = packet.offload().checksum else {
        return None;
    };
    match packet.offload().segmentation {
        None => Some(Work {
            context: [0, places(sum.start, sum.offset), CONTEXT_COMMAND, 0],
            command: Command::empty(),
            options: Options::TRANSPORT_SUM,
        }),
        Some(segmentation) => cut(packet, sum, segmentation),
    }
}

/// Start, place of the sum, and the end, of which 0 means the frame's.
fn places(start: u16, offset: u16) -> u32 {
    u32::from(start) | u32::from(start + offset) << 8
}

fn cut(packet: &mut Packet, sum: PartialChecksum, segmentation: Segmentation) -> Option<Work> {
    let bytes = packet.len();
    let transport = usize::from(sum.start);
    let frame = packet.frame_mut();
    // Behind the Ethernet header and its tags: the IP header ends where TCP starts.
    let ip = network(frame)?;
    let segment_bytes = bytes.checked_sub(transport)?;
    let place = frame.get_mut(transport + usize::from(sum.offset)..)?;
    let [high, low] = *place.first_chunk()?;
    let length = checksum::sum(0, &(segment_bytes as u32).to_be_bytes());
    let without = checksum::sum(u16::from_be_bytes([high, low]), &(!length).to_be_bytes());
    place[..2].copy_from_slice(&without.to_be_bytes());
    let (kind, options, network) = match segmentation.cut {
        Cut::Tcp4 => {
            let header = frame.get_mut(ip..transport)?;
            header.get_mut(2..4)?.fill(0);
            header.get_mut(10..12)?.fill(0);
            let end = (transport - 1) as u32;
            let words = ip as u32 | (ip as u32 + 10) << 8 | end << 16;
            let options = Options::TRANSPORT_SUM | Options::NETWORK_SUM;
            (CONTEXT_IP4, options, words)
        }
        Cut::Tcp6 => {
            frame.get_mut(ip + 4..ip + 6)?.fill(0);
            (0, Options::TRANSPORT_SUM, ip as u32)
        }
    };
    let payload = bytes.checked_sub(usize::from(segmentation.header_bytes))? as u32;
    let lengths =
        u32::from(segmentation.header_bytes) << 8 | u32::from(segmentation.segment_bytes) << 16;
    let command = CONTEXT_COMMAND | CONTEXT_TCP | CONTEXT_CUT | kind | payload;
    Some(Work {
        context: [network, places(sum.start, sum.offset), command, lengths],
        command: Command::SUM,
        options,
    })
}

/// Where the IP header starts.
fn network(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    for _ in 0..2 {
        if !matches!(frame.get(at..at + 2)?, [0x81, 0x00] | [0x88, 0xa8]) {
            break;
        }
        at += 4;
    }
    Some(at + 2)
}

/// Whether a frame that is to be cut is one that the card can cut: headers of sound length, TCP's sum where it belongs.
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
    ip + header <= transport
        && frame.get(ip + protocol) == Some(&TCP)
        && sum.offset == 16
        && segmentation.header_bytes <= 240
        && usize::from(segmentation.header_bytes) >= transport + 20
        && usize::from(segmentation.header_bytes) <= packet.len()
        && segmentation.segment_bytes > 0
}
