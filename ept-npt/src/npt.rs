//! AMD-V's nested page tables: long-mode page tables, walked with user rights (APM vol. 2, 15.25.5).

use crate::format::{Entry, Format, Leaf, Level, Rights};
use crate::memory_type::MemoryType;
use guest_mem::Hpa;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
/// Nested walks are user accesses: without this bit every one would fault.
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const PAGE_SIZE: u64 = 1 << 7;
/// For software (APM vol. 2, 5.4.1, "Available to Software").
const AVAILABLE: u64 = 1 << 11;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The format. Accessed and dirty bits are set beforehand so that the CPU never has to.
///
/// The memory type asked for is left out: every entry names PAT entry 0 of the host, write-back, and the CPU combines that
/// with the host's MTRRs for the frame (APM vol. 2, 15.25.8), which gives the MTRRs' type back. Entries decode as write-back.
#[derive(Debug)]
pub enum Npt {}

impl Format for Npt {
    const WRITE: u64 = WRITE;
    const DIRTY: u64 = DIRTY;
    const MARK: u64 = AVAILABLE;

    fn table(next: Hpa) -> u64 {
        next.0 & ADDRESS | PRESENT | WRITE | USER | ACCESSED
    }

    fn leaf(leaf: Leaf, level: Level) -> u64 {
        let size = if level == Level::Page { 0 } else { PAGE_SIZE };
        let write = match leaf.rights {
            Rights::ReadWriteExecute => WRITE,
            Rights::ReadExecute => 0,
        };
        let page = leaf.page.0 & ADDRESS & !level.offset_mask();
        page | PRESENT | USER | ACCESSED | DIRTY | size | write
    }

    fn decode(entry: u64, level: Level) -> Entry {
        if entry & PRESENT == 0 {
            Entry::Empty
        } else if level == Level::Page || entry & PAGE_SIZE != 0 {
            Entry::Leaf(Leaf {
                page: Hpa(entry & ADDRESS & !level.offset_mask()),
                rights: if entry & WRITE != 0 {
                    Rights::ReadWriteExecute
                } else {
                    Rights::ReadExecute
                },
                memory_type: MemoryType::WriteBack,
            })
        } else {
            Entry::Table(Hpa(entry & ADDRESS))
        }
    }
}
