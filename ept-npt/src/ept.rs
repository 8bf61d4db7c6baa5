//! VT-x's extended page tables (SDM vol. 3C, 29.3, "The Extended Page Table Mechanism").

use crate::format::Format;
use crate::memory_type::MemoryType;

const READ: u64 = 1;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 2;
/// Leaves only; reserved in entries that point to a table.
const MEMORY_TYPE_SHIFT: u32 = 3;
const MEMORY_TYPE_MASK: u64 = 7;
/// Leaves only: the entry's memory type alone counts, not the guest's PAT.
const IGNORE_PAT: u64 = 1 << 6;
const ACCESSED: u64 = 1 << 8;
const DIRTY: u64 = 1 << 9;
/// Ignored in all entries (29.3.2, tables 29-1 to 29-7).
const IGNORED: u64 = 1 << 11;

/// The format.
///
/// **Memory type.** The host's MTRRs have no say in a guest's accesses (29.3.7.2), so a leaf repeats the type that they give
/// the frame, and it ignores the guest's PAT: the hypervisor's own mapping of the same frame then has the same type at any
/// time, as 12.12.4 of volume 3A asks. `docs/decisions/0014-ept-ignores-the-guests-pat.md` has the reasons.
///
/// **Accessed and dirty bits** are set beforehand. Where the EPT pointer leaves them off, the CPU ignores them (29.3.5); where it
/// turns them on, the CPU never has to write them, and a dirty log begins as it must, with every page to be sent: it clears
/// the bits of what it has seen.
///
/// **Misconfigurations** (29.3.3.1) cannot be written: every leaf has "read", [`MemoryType`] has no reserved type,
/// addresses are cut to the level's alignment and to 52 bits. Only the CPU's own physical-address width is the caller's duty: a
/// frame of real memory lies within it.
#[derive(Debug)]
pub enum Ept {}

impl Format for Ept {
    /// None of the three rights (29.3.2).
    const PRESENT: u64 = READ | WRITE | EXECUTE;
    const PAGE_SIZE: u64 = 1 << 7;
    const TABLE: u64 = READ | WRITE | EXECUTE | ACCESSED;
    const LEAF: u64 = READ | EXECUTE | IGNORE_PAT | ACCESSED | DIRTY;
    const WRITE: u64 = WRITE;
    const DIRTY: u64 = DIRTY;
    const MARK: u64 = IGNORED;

    fn encode_type(memory_type: MemoryType) -> u64 {
        memory_type.encoding() << MEMORY_TYPE_SHIFT
    }

    /// A reserved type is never written; the strictest stands for it.
    fn decode_type(leaf: u64) -> MemoryType {
        MemoryType::from_encoding(leaf >> MEMORY_TYPE_SHIFT & MEMORY_TYPE_MASK)
            .unwrap_or(MemoryType::Uncacheable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Entry, Leaf, Level, Rights};
    use guest_mem::Hpa;
    use proptest::prelude::*;

    const TYPES: [MemoryType; 5] = [
        MemoryType::Uncacheable,
        MemoryType::WriteCombining,
        MemoryType::WriteThrough,
        MemoryType::WriteProtected,
        MemoryType::WriteBack,
    ];

    /// 29.3.3.1 as it stands, for a CPU with 52-bit physical addresses and without execute-only pages.
    fn misconfigured(entry: u64, level: Level) -> bool {
        if entry & 7 == 0 {
            return false;
        }
        let unreadable = entry & 1 == 0;
        let leaf = level == Level::Page || entry & 1 << 7 != 0;
        let reserved = match (level, leaf) {
            (Level::Top, _) => 0xf8,
            (_, false) => 0x78,
            (Level::Huge, true) => 0x3fff_f000,
            (Level::Large, true) => 0x1f_f000,
            (Level::Page, true) => 0,
        };
        let reserved_type = leaf && matches!(entry >> 3 & 7, 2 | 3 | 7);
        unreadable || reserved_type || entry & reserved != 0
    }

    #[test]
    fn the_bits_are_where_the_manual_has_them() {
        let leaf = Leaf {
            page: Hpa(0x4020_0000),
            rights: Rights::ReadExecute,
            memory_type: MemoryType::WriteBack,
        };
        assert_eq!(Ept::leaf(leaf, Level::Large), 0x4020_03f5);
        assert_eq!(Ept::leaf(leaf, Level::Page), 0x4020_0375);
        assert_eq!(Ept::table(Hpa(0x7000)), 0x7107);
    }

    proptest! {
        #[test]
        fn no_entry_is_misconfigured(address in any::<u64>(), kind in 0..5_usize) {
            for level in [Level::Page, Level::Large, Level::Huge] {
                for rights in [Rights::ReadExecute, Rights::ReadWriteExecute] {
                    let leaf = Leaf { page: Hpa(address), rights, memory_type: TYPES[kind] };
                    prop_assert!(!misconfigured(Ept::leaf(leaf, level), level));
                }
            }
            for level in [Level::Large, Level::Huge, Level::Top] {
                prop_assert!(!misconfigured(Ept::table(Hpa(address)), level));
            }
        }

        #[test]
        fn entries_say_what_was_written(page in 0_u64..1 << 22, kind in 0..5_usize, writable: bool) {
            let leaf = Leaf {
                page: Hpa(page << 30),
                rights: if writable { Rights::ReadWriteExecute } else { Rights::ReadExecute },
                memory_type: TYPES[kind],
            };
            for level in [Level::Page, Level::Large, Level::Huge] {
                prop_assert_eq!(Ept::decode(Ept::leaf(leaf, level), level), Entry::Leaf(leaf));
            }
        }
    }
}
