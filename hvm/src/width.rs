//! How many bytes an access moves.

/// The width of a port or memory-mapped access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Word = 2,
    /// 32 bits.
    Dword = 4,
    /// 64 bits.
    Qword = 8,
}

impl Width {
    /// The width with that many bytes.
    #[inline]
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// How many bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        self as usize
    }

    /// How many bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        self as u32 * 8
    }

    /// All bits of a value of this width; also what an access that nobody answers reads.
    #[inline]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// `value` cut to this width.
    #[inline]
    pub const fn cut(self, value: u64) -> u64 {
        value & self.mask()
    }
}
