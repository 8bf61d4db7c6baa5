//! Descriptors that have the card complete checksums and cut frames (8254x, 3.3.5 to 3.3.7).
//!
//! A context descriptor says where the parts of the frames behind it are; data descriptors refer to it. Legacy descriptors can ask for a
//! checksum, too, but QEMU's cards do not know of that.

use super::bits::*;
use crate::nic::intel::ring::Words;
use crate::nic::offload::clear_lengths;
use hvm::packet::{Checksum, Cut, Packet, PartialChecksum, Segmentation};

/// The most that one data descriptor is given of a frame that is to be cut; whole frames are shorter.
pub const MAX_PIECE_BYTES: usize = 4096;

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
    let ip = clear_lengths(packet, sum, segmentation)?;
    let bytes = packet.whole_len();
    let (kind, options, network) = match segmentation.cut {
        Cut::Tcp4 => {
            let end = u32::from(sum.start) - 1;
            let words = ip as u32 | (ip as u32 + 10) << 8 | end << 16;
            let options = Options::TRANSPORT_SUM | Options::NETWORK_SUM;
            (CONTEXT_IP4, options, words)
        }
        Cut::Tcp6 => (0, Options::TRANSPORT_SUM, ip as u32),
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
