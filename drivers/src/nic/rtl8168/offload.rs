//! Options of descriptors that have the chip complete checksums and cut frames. It computes a sum anew, whatever stands in its place.

use super::bits::*;
use super::version::Version;
use crate::nic::offload::{self, forget_length, network};
use hvm::packet::{Checksum, Cut, Packet, PartialChecksum};

/// Where in their headers TCP and UDP have their sums.
const TCP_PLACE: u16 = 16;
const UDP_PLACE: u16 = 6;
/// An Ethernet header without tags: with them the chip was told of nowhere.
const LINK_BYTES: usize = 14;
/// The farthest start of the transport that a descriptor can tell of.
const MOST_START: u16 = 0x7f;
/// The most payload of a piece.
const MOST_SEGMENT: u16 = 0x7ff;
/// The longest frame that is to be cut, and the most pieces: the RTL8168B's, and later ones'.
const OLD_LONGEST: (usize, usize) = (32_000, 24);
const LONGEST: (usize, usize) = (64_000, 64);

/// A descriptor's options, beside those of any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub first: u32,
    pub second: u32,
}

/// The IP version of a frame.
fn ip_version(packet: &Packet) -> Option<u8> {
    let frame = packet.frame();
    if network(frame)? != LINK_BYTES {
        return None;
    }
    let version = frame.get(LINK_BYTES)? >> 4;
    [4, 6].contains(&version).then_some(version)
}

/// Whether the chip can complete this sum.
pub fn can_sum(packet: &Packet, sum: PartialChecksum, version: Version) -> bool {
    let inside = usize::from(sum.start) + usize::from(sum.offset) + 2 <= packet.len();
    let known = match ip_version(packet) {
        Some(4) => sum.start >= LINK_BYTES as u16 + 20,
        // The RTL8168B knows IPv4 alone.
        Some(_) => sum.start >= LINK_BYTES as u16 + 40 && !version.has_old_descriptors(),
        None => false,
    };
    inside && known && sum.start <= MOST_START && [TCP_PLACE, UDP_PLACE].contains(&sum.offset)
}

/// Whether the chip can cut this frame; [`can_sum`] has agreed.
pub fn can_cut(packet: &Packet, version: Version) -> bool {
    let Some(segmentation) = packet.offload().segmentation else {
        return false;
    };
    let (longest, pieces) = match version.has_old_descriptors() {
        true => OLD_LONGEST,
        false => LONGEST,
    };
    let segment = usize::from(segmentation.segment_bytes);
    offload::can_cut(packet)
        && segmentation.segment_bytes <= MOST_SEGMENT
        && packet.whole_len() <= longest
        && packet.whole_len() <= segment * pieces
}

/// What the descriptors of a frame say, by its offload.
pub fn options(packet: &mut Packet, version: Version) -> Options {
    let Checksum::Partial(sum) = packet.offload().checksum else {
        return Options::default();
    };
    let start = u32::from(sum.start);
    let tcp = sum.offset == TCP_PLACE;
    match (packet.offload().segmentation, version.has_old_descriptors()) {
        (None, true) => Options {
            first: OLD_IP_SUM | if tcp { OLD_TCP_SUM } else { OLD_UDP_SUM },
            second: 0,
        },
        (None, false) => {
            let ip = if ip_version(packet) == Some(4) {
                SUM_4
            } else {
                SUM_6
            };
            let transport = if tcp { TCP_SUM } else { UDP_SUM };
            Options {
                first: 0,
                second: ip | transport | start << START_SHIFT,
            }
        }
        (Some(segmentation), true) => Options {
            first: OLD_CUT | u32::from(segmentation.segment_bytes) << OLD_SEGMENT_SHIFT,
            second: 0,
        },
        (Some(segmentation), false) => {
            let cut = match segmentation.cut {
                Cut::Tcp4 => CUT_4,
                Cut::Tcp6 => {
                    // There the chip adds to what stands in the sum's place. It is inside: `can_sum` has agreed.
                    let _ = forget_length(packet, sum);
                    CUT_6
                }
            };
            Options {
                first: cut | start << CUT_START_SHIFT,
                second: u32::from(segmentation.segment_bytes) << START_SHIFT,
            }
        }
    }
}
