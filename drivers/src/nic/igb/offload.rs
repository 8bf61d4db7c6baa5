//! Descriptors that have the card complete checksums and cut frames (82576, 7.2.2.2 and 7.2.4).

use super::bits::*;
use crate::nic::intel::ring::Words;
use crate::nic::offload::{clear_lengths, network};
use hvm::packet::{Checksum, Cut, Packet, PartialChecksum};

/// Where in their headers TCP and UDP have their sums, by which the card goes.
const TCP_SUM: u16 = 16;
const UDP_SUM: u16 = 6;
/// The longest Ethernet and IP headers that a context can tell of.
const MOST_LINK_BYTES: usize = 127;
const MOST_NETWORK_BYTES: usize = 511;

/// How long the headers below the transport are.
fn headers(packet: &Packet, sum: PartialChecksum) -> Option<(usize, usize)> {
    let link = network(packet.frame())?;
    let network = usize::from(sum.start).checked_sub(link)?;
    let fits = link <= MOST_LINK_BYTES && (20..=MOST_NETWORK_BYTES).contains(&network);
    fits.then_some((link, network))
}

/// Whether the card can complete this sum: it is TCP's or UDP's, behind an IP header.
pub fn can_sum(packet: &Packet, sum: PartialChecksum) -> bool {
    let inside = usize::from(sum.start) + usize::from(sum.offset) + 2 <= packet.len();
    inside && [TCP_SUM, UDP_SUM].contains(&sum.offset) && headers(packet, sum).is_some()
}

/// What the card is asked to do to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The context.
    pub context: Words,
    /// Command bits of the data descriptors, beside those of any.
    pub command: u32,
    /// Their options, and how much is to be sent.
    pub options: u32,
}

/// A frame's work, which it has by its offload; [`can_sum`] has agreed. A frame that is to be cut is prepared for it.
pub fn work(packet: &mut Packet) -> Option<Work> {
    let Checksum::Partial(sum) = packet.offload().checksum else {
        return None;
    };
    let (link, network) = headers(packet, sum)?;
    let places = network as u32 | (link as u32) << 9;
    let bytes = packet.whole_len();
    let version = packet.frame().get(link)? >> 4;
    let mut kind = CONTEXT;
    if version == 4 {
        kind |= CONTEXT_IP4;
    }
    if sum.offset == TCP_SUM {
        kind |= CONTEXT_TCP;
    }
    let Some(segmentation) = packet.offload().segmentation else {
        return Some(Work {
            context: [places, 0, kind, 0],
            command: 0,
            options: OPTION_TRANSPORT_SUM | (bytes as u32) << PAYLOAD_SHIFT,
        });
    };
    clear_lengths(packet, sum, segmentation)?;
    let header_bytes = usize::from(segmentation.header_bytes);
    let payload = bytes.checked_sub(header_bytes)? as u32;
    let transport = header_bytes.checked_sub(usize::from(sum.start))? as u32;
    let options = match segmentation.cut {
        Cut::Tcp4 => OPTION_TRANSPORT_SUM | OPTION_NETWORK_SUM,
        Cut::Tcp6 => OPTION_TRANSPORT_SUM,
    };
    let lengths = transport << 8 | u32::from(segmentation.segment_bytes) << 16;
    Some(Work {
        context: [places, 0, kind, lengths],
        command: DATA_CUT,
        options: options | payload << PAYLOAD_SHIFT,
    })
}
