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

/// The address bits of an entry, in every format.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// One table format: its bits. How entries are put together of them is the same for all.
pub trait Format {
    /// An entry with none of these is absent.
    const PRESENT: u64;
    /// Set in an entry above the last level: it is a leaf.
    const PAGE_SIZE: u64;
    /// What every entry that points to a table has set.
    const TABLE: u64;
    /// What every leaf has set, whatever its level, rights and memory type.
    const LEAF: u64;
    /// In a leaf: the guest may write.
    const WRITE: u64;
    /// In a leaf: the CPU has written since the bit was last cleared, if it keeps such bits.
    const DIRTY: u64;
    /// A bit that the CPU ignores in every entry, and that [`Format::table`] and [`Format::leaf`] leave clear. It marks leaves that
    /// are protected to learn of the first write, and tables that stand for a larger leaf.
    const MARK: u64;

    /// The bits of a leaf with this memory type. A format that has no place for it gives none, and says why that is right.
    fn encode_type(memory_type: MemoryType) -> u64;
    /// The memory type that a leaf carries.
    fn decode_type(leaf: u64) -> MemoryType;

    /// An entry that points to the next table.
    fn table(next: Hpa) -> u64 {
        next.0 & ADDRESS | Self::TABLE
    }

    /// An entry that maps a page of `level`, which is not [`Level::Top`].
    fn leaf(leaf: Leaf, level: Level) -> u64 {
        let size = match level {
            Level::Page => 0,
            _ => Self::PAGE_SIZE,
        };
        let write = match leaf.rights {
            Rights::ReadWriteExecute => Self::WRITE,
            Rights::ReadExecute => 0,
        };
        let page = leaf.page.0 & ADDRESS & !level.offset_mask();
        page | Self::LEAF | size | write | Self::encode_type(leaf.memory_type)
    }

    /// What an entry of `level` says.
    fn decode(entry: u64, level: Level) -> Entry {
        if entry & Self::PRESENT == 0 {
            Entry::Empty
        } else if level == Level::Page || entry & Self::PAGE_SIZE != 0 {
            Entry::Leaf(Leaf {
                page: Hpa(entry & ADDRESS & !level.offset_mask()),
                rights: if entry & Self::WRITE != 0 {
                    Rights::ReadWriteExecute
                } else {
                    Rights::ReadExecute
                },
                memory_type: Self::decode_type(entry),
            })
        } else {
            Entry::Table(Hpa(entry & ADDRESS))
        }
    }
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
