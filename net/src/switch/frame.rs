//! What a switch reads of a frame (IEEE 802.3, 3.2; IEEE 802.1Q, 9.5).

use crate::Mac;

/// Two addresses and a type.
const HEADER_BYTES: usize = 14;
/// Type of a customer VLAN tag.
const TYPE_VLAN: [u8; 2] = [0x81, 0x00];
/// VLAN identifier in a tag's control information; 0 is a tag with a priority alone.
const VLAN_ID: u16 = 0x0fff;

/// Whether a frame has a tag, be it of a priority alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// It has.
    Yes,
    /// It has not.
    No,
}

/// Addresses and VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// To.
    pub destination: Mac,
    /// From.
    pub source: Mac,
    /// VLAN; 0 for frames without one.
    pub vlan: u16,
    /// Whether there is a tag.
    pub tagged: Tagged,
}

/// All that [`Header::read`] looks at, as two numbers; `None` for the shortest frames.
#[inline]
pub fn key(frame: &[u8]) -> Option<[u64; 2]> {
    let bytes = frame.first_chunk::<16>()?;
    let whole = u128::from_le_bytes(*bytes);
    let [low, high] = [whole as u64, (whole >> 64) as u64];
    let is_tagged = high >> 32 & 0xffff == u64::from(u16::from_le_bytes(TYPE_VLAN));
    Some([
        low,
        if is_tagged {
            high
        } else {
            high & 0xffff_ffff_ffff
        },
    ])
}

impl Header {
    /// Reads it; `None` if the frame has no room for it.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let header = frame.first_chunk::<HEADER_BYTES>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, kind @ ..] = *header;
        let (vlan, tagged) = match kind {
            TYPE_VLAN => {
                let control = frame[HEADER_BYTES..].first_chunk::<2>()?;
                (u16::from_be_bytes(*control) & VLAN_ID, Tagged::Yes)
            }
            _ => (0, Tagged::No),
        };
        Some(Self {
            destination: Mac([a, b, c, d, e, f]),
            source: Mac([g, h, i, j, k, l]),
            vlan,
            tagged,
        })
    }

    /// True if no bridge passes it on (802.1Q, table 8-1).
    pub fn is_reserved(&self) -> bool {
        matches!(self.destination.0, [0x01, 0x80, 0xc2, 0, 0, 0..=0x0f])
    }
}
