//! How a table entry is written; everything else about a walk is the same for all formats.

use crate::memory_type::MemoryType;
use guest_mem::Hpa;

/// A level of the tables, by the size of what one of its entries maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 4 KiB.
    Page,
    /// 2 MiB.
    Large,
    /// 1 GiB.
    Huge,
    /// 512 GiB; never a leaf.
    Top,
}

impl Level {
    /// Bytes that one entry covers.
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// Number of the lowest address bit that indexes this level.
    pub const fn shift(self) -> u32 {
        match self {
            Self::Page => 12,
            Self::Large => 21,
            Self::Huge => 30,
            Self::Top => 39,
        }
    }

    /// The level that this level's entries point to.
    pub const fn below(self) -> Option<Self> {
        match self {
            Self::Page => None,
            Self::Large => Some(Self::Page),
            Self::Huge => Some(Self::Large),
            Self::Top => Some(Self::Huge),
        }
    }

    /// The bits of an address inside one entry's piece.
    pub const fn offset_mask(self) -> u64 {
        self.bytes() - 1
    }

    /// The index of an address at this level.
    pub const fn index(self, address: u64) -> usize {
        (address >> self.shift() & 511) as usize
    }
}

/// What the guest may do with a page. It may always read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// RAM.
    ReadWriteExecute,
    /// ROM: writes exit.
    ReadExecute,
}

/// What an entry maps: to where, with which rights, cached how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The first byte of the page.
    pub page: Hpa,
    /// What the guest may do.
    pub rights: Rights,
    /// The memory type that the entry carries.
    pub memory_type: MemoryType,
}

/// One table format.
pub trait Format {
    /// In a leaf: the guest may write.
    const WRITE: u64;
    /// In a leaf: the CPU has written since the bit was last cleared, if it keeps such bits.
    const DIRTY: u64;
    /// A bit that the CPU ignores in every entry, and that [`Format::table`] and [`Format::leaf`] leave clear. It marks leaves that
    /// are protected to learn of the first write, and tables that stand for a larger leaf.
    const MARK: u64;

    /// An entry that points to the next table.
    fn table(next: Hpa) -> u64;
    /// An entry that maps a page of `level`, which is not [`Level::Top`]. A format that has no place for the memory type
    /// leaves it out, and says why that is right.
    fn leaf(leaf: Leaf, level: Level) -> u64;
    /// What an entry of `level` says.
    fn decode(entry: u64, level: Level) -> Entry;
}

/// A decoded entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Empty,
    /// The next table.
    Table(Hpa),
    /// A page.
    Leaf(Leaf),
}
