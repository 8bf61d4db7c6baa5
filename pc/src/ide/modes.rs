//! Transfer modes, which the host sets by SET FEATURES 03h (ATA/ATAPI-6, table 45). Nothing is faster or slower here; the
//! choice only shows in the identity.

use serde::{Deserialize, Serialize};

/// Multiword modes 0 to 2 and Ultra modes 0 to 5 are offered.
const LAST_MULTIWORD: u8 = 2;
const LAST_ULTRA: u8 = 5;
/// PIO modes 0 to 4.
const LAST_PIO: u8 = 4;

/// The DMA mode in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Modes {
    Multiword(u8),
    Ultra(u8),
}

impl Modes {
    /// As firmware would set drives behind a PIIX3, which knows no Ultra DMA.
    pub(super) const POWER_ON: Self = Self::Multiword(LAST_MULTIWORD);

    /// The modes after SET FEATURES with this sector count; `None` if the mode is not offered.
    pub(super) fn select(self, count: u8) -> Option<Self> {
        let mode = count & 7;
        match count >> 3 {
            // The default PIO mode, with or without IORDY.
            0 if mode <= 1 => Some(self),
            1 if mode <= LAST_PIO => Some(self),
            4 if mode <= LAST_MULTIWORD => Some(Self::Multiword(mode)),
            8 if mode <= LAST_ULTRA => Some(Self::Ultra(mode)),
            _ => None,
        }
    }

    /// Word 63 of the identity: what is offered, and in the upper byte what is in force.
    pub(super) fn multiword_word(self) -> u16 {
        let offered = (1 << (LAST_MULTIWORD + 1)) - 1;
        match self {
            Self::Multiword(mode) => offered | 0x100 << (mode & 7),
            Self::Ultra(_) => offered,
        }
    }

    /// Word 88, alike.
    pub(super) fn ultra_word(self) -> u16 {
        let offered = (1 << (LAST_ULTRA + 1)) - 1;
        match self {
            Self::Ultra(mode) => offered | 0x100 << (mode & 7),
            Self::Multiword(_) => offered,
        }
    }
}
