//! How much memory shadow paging takes: all of it at the start, so that nothing is left to ask for later.

use super::links::{Head, Links};
use super::pool::Table;
use super::{LargeFrame, Level};
use guest_mem::GuestMemory;

/// For each MiB of guest memory.
const KIB_PER_MIB: u64 = 2;
/// For each vCPU.
const MIB_PER_VCPU: u64 = 4;
/// Links that a table has room for besides the first of each list.
const LINKS_PER_TABLE: u64 = 64;

/// A budget, divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    tables: u32,
}

impl Budget {
    /// The least that a guest can do with, in MiB; and what it gets if nobody says how much.
    pub const fn least_mib(memory_mib: u64, vcpus: usize) -> u64 {
        (memory_mib * KIB_PER_MIB).div_ceil(1024) + MIB_PER_VCPU * vcpus as u64
    }

    /// Divides so many MiB; `None` if that is too little for the guest.
    pub fn divide(mib: u64, memory: &GuestMemory, vcpus: usize) -> Option<Self> {
        if mib < Self::least_mib(memory.bytes() >> 20, vcpus) {
            return None;
        }
        let end = memory.end().0;
        let frames = end.div_ceil(Level::Page.bytes()) * size_of::<Head>() as u64;
        let larges = end.div_ceil(Level::Large.bytes()) * size_of::<LargeFrame>() as u64;
        let log = end / Level::Page.bytes() / 4;
        let left = (mib << 20).checked_sub(frames + larges + log)?;
        let each = Level::Page.bytes()
            + size_of::<Table>() as u64
            // The table's places in its bucket, among the free, the freed and the loose.
            + 5 * size_of::<u32>() as u64
            + LINKS_PER_TABLE * Links::NODE_BYTES;
        let tables = u32::try_from(left / each).ok()?.min(1 << 21);
        (u64::from(tables) >= 64 + 16 * vcpus as u64).then_some(Self { tables })
    }

    /// How many tables there can be at a time.
    pub const fn tables(&self) -> u32 {
        self.tables
    }

    pub(super) const fn links(&self) -> usize {
        (self.tables as u64 * LINKS_PER_TABLE) as usize
    }

    #[cfg(test)]
    pub(super) const fn of_tables(tables: u32) -> Self {
        Self { tables }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_mem::Gpa;

    #[test]
    fn the_least_is_enough_and_less_is_refused() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 64 << 20)]);
        let least = Budget::least_mib(64, 2);
        assert_eq!(least, 9);
        assert!(Budget::divide(least - 1, &memory, 2).is_none());
        let tables = u64::from(Budget::divide(least, &memory, 2).unwrap().tables());
        assert!(tables * 4096 < least << 20 && tables * 4096 > (least << 20) * 4 / 5);
    }
}
