//! What is left of a command that moves or checks sectors.

use serde::{Deserialize, Serialize};

/// Which form of a command: it decides how wide addresses and counts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    /// 28-bit, or CHS.
    Short,
    /// 48-bit.
    Ext,
}

/// Sectors still to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) form: Form,
    /// The next one.
    pub(super) sector: u64,
    pub(super) left: u32,
    /// Sectors in a data block of programmed I/O; 0 for DMA.
    pub(super) per_block: u32,
}

impl Span {
    /// Sectors in the next data block.
    pub(super) fn block(&self) -> u32 {
        self.left.min(self.per_block)
    }

    /// `sectors` of them are done.
    pub(super) fn advance(&mut self, sectors: u32) {
        let sectors = sectors.min(self.left);
        self.sector = self.sector.saturating_add(u64::from(sectors));
        self.left -= sectors;
    }
}
