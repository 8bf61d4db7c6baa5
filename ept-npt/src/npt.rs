//! AMD-V's nested page tables: long-mode page tables, walked with user rights (APM vol. 2, 15.25.5).

use crate::format::Format;
use crate::memory_type::MemoryType;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
/// Nested walks are user accesses: without this bit every one would fault.
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// For software (APM vol. 2, 5.4.1, "Available to Software").
const AVAILABLE: u64 = 1 << 11;

/// The format. Accessed and dirty bits are set beforehand so that the CPU never has to.
///
/// The memory type asked for is left out: every entry names PAT entry 0 of the host, write-back, and the CPU combines that
/// with the host's MTRRs for the frame (APM vol. 2, 15.25.8), which gives the MTRRs' type back. Entries decode as write-back.
#[derive(Debug)]
pub enum Npt {}

impl Format for Npt {
    const PRESENT: u64 = PRESENT;
    const PAGE_SIZE: u64 = 1 << 7;
    const TABLE: u64 = PRESENT | WRITE | USER | ACCESSED;
    const LEAF: u64 = PRESENT | USER | ACCESSED | DIRTY;
    const WRITE: u64 = WRITE;
    const DIRTY: u64 = DIRTY;
    const MARK: u64 = AVAILABLE;

    fn encode_type(_memory_type: MemoryType) -> u64 {
        0
    }

    fn decode_type(_leaf: u64) -> MemoryType {
        MemoryType::WriteBack
    }
}
