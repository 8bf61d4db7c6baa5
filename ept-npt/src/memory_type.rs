//! How memory is cached.

/// A memory type (SDM vol. 3A, 12.3), encoded alike in MTRRs (table 12-8), the PAT (table 12-10) and EPT entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MemoryType {
    /// UC: every access goes to the bus, in program order.
    Uncacheable = 0,
    /// WC: writes may be gathered.
    WriteCombining = 1,
    /// WT: reads are cached, writes go through.
    WriteThrough = 4,
    /// WP: reads are cached, writes are not.
    WriteProtected = 5,
    /// WB: ordinary RAM.
    WriteBack = 6,
}

impl MemoryType {
    /// The type with this encoding; `None` for the reserved ones, and for 7, which is UC- in the PAT and reserved elsewhere.
    pub const fn from_encoding(encoding: u64) -> Option<Self> {
        match encoding {
            0 => Some(Self::Uncacheable),
            1 => Some(Self::WriteCombining),
            4 => Some(Self::WriteThrough),
            5 => Some(Self::WriteProtected),
            6 => Some(Self::WriteBack),
            _ => None,
        }
    }

    /// The encoding.
    pub const fn encoding(self) -> u64 {
        self as u64
    }
}
