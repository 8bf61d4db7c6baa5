//! AMD-V's nested page tables: long-mode page tables, walked with user rights (APM vol. 2, 15.25.5).

use crate::format::{Entry, Format, Level, Rights};
use guest_mem::Hpa;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
/// Nested walks are user accesses: without this bit every one would fault.
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const PAGE_SIZE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The format. Memory type: PAT entry 0 of the host, write-back; the guest's own PAT and MTRRs combine with it by
/// APM vol. 2, 15.25.8. Accessed and dirty bits are set beforehand so that the CPU never has to.
#[derive(Debug)]
pub enum Npt {}

impl Format for Npt {
    fn table(next: Hpa) -> u64 {
        next.0 & ADDRESS | PRESENT | WRITE | USER | ACCESSED
    }

    fn leaf(page: Hpa, level: Level, rights: Rights) -> u64 {
        let size = if level == Level::Page { 0 } else { PAGE_SIZE };
        let write = if rights == Rights::ReadWriteExecute {
            WRITE
        } else {
            0
        };
        page.0 & ADDRESS | PRESENT | USER | ACCESSED | DIRTY | size | write
    }

    fn decode(entry: u64, level: Level) -> Entry {
        if entry & PRESENT == 0 {
            Entry::Empty
        } else if level == Level::Page || entry & PAGE_SIZE != 0 {
            let rights = if entry & WRITE != 0 {
                Rights::ReadWriteExecute
            } else {
                Rights::ReadExecute
            };
            Entry::Leaf(Hpa(entry & ADDRESS & !(level.bytes() - 1)), rights)
        } else {
            Entry::Table(Hpa(entry & ADDRESS))
        }
    }
}
