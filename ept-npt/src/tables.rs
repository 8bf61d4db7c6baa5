//! Four levels of tables over any format.

mod dirty;

pub use dirty::{Piece, Tracked, WriteFault};

use crate::format::{Entry, Format, Leaf, Level, Rights};
use crate::memory_type::MemoryType;
use core::fmt;
use core::marker::PhantomData;
use guest_mem::{Gpa, Hpa};

/// Where table pages come from and how their entries are reached. Entries are read and written whole.
pub trait TableMemory {
    /// A zeroed page, or `None` when there is none left.
    fn allocate(&mut self) -> Option<Hpa>;
    /// Gives a page back.
    fn release(&mut self, table: Hpa);
    /// Reads entry `index` (0…511) of a table.
    fn read(&self, table: Hpa, index: usize) -> u64;
    /// Writes it.
    fn write(&mut self, table: Hpa, index: usize, entry: u64);
    /// Writes `new` if the entry is still `current`, in one step even for CPUs that walk the table; else the error says what it is.
    fn compare_exchange(
        &mut self,
        table: Hpa,
        index: usize,
        current: u64,
        new: u64,
    ) -> Result<(), u64>;
}

/// Why a range was not mapped. The tables are as before, but for empty tables that a failed attempt may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Addresses or length are no whole pages, or lie beyond 48 bits (guest) or 52 bits (host).
    Misaligned,
    /// Something is mapped there already.
    Occupied(Gpa),
    /// No page left for a table.
    OutOfMemory,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => f.write_str(
                "the range is no whole pages below 2^48, or its memory is not below 2^52",
            ),
            Self::Occupied(gpa) => write!(f, "guest-physical {gpa:#x} is mapped already"),
            Self::OutOfMemory => f.write_str("no host memory left for a page table"),
        }
    }
}

/// What a walk finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The host-physical address of the byte asked for.
    pub hpa: Hpa,
    /// The size of the page it lies in.
    pub level: Level,
    /// What the guest may do there.
    pub rights: Rights,
    /// The memory type that the entry carries.
    pub memory_type: MemoryType,
}

/// Guest-physical to host-physical tables.
pub struct Tables<M, F> {
    memory: M,
    root: Hpa,
    largest: Level,
    format: PhantomData<F>,
}

impl<M: TableMemory, F: Format> Tables<M, F> {
    /// Empty tables. `largest` is the largest page that the CPU can map.
    pub fn new(mut memory: M, largest: Level) -> Result<Self, MapError> {
        let root = memory.allocate().ok_or(MapError::OutOfMemory)?;
        Ok(Self {
            memory,
            root,
            largest: largest.min(Level::Huge),
            format: PhantomData,
        })
    }

    /// The top table, for nested CR3 or the EPT pointer.
    pub fn root(&self) -> Hpa {
        self.root
    }

    /// Maps `bytes` from `gpa` on to `hpa` on. `memory_type` is the type that the host's own mappings of all these bytes have. New
    /// translations need no TLB flush: neither vendor caches absent ones (APM vol. 2, 5.5.2; SDM vol. 3C, 29.4.3.3).
    pub fn map(
        &mut self,
        gpa: Gpa,
        hpa: Hpa,
        bytes: u64,
        rights: Rights,
        memory_type: MemoryType,
    ) -> Result<(), MapError> {
        let below = |start: u64, limit| start.checked_add(bytes).filter(|&end| end <= limit);
        let end = below(gpa.0, 1 << 48).ok_or(MapError::Misaligned)?;
        below(hpa.0, 1 << 52).ok_or(MapError::Misaligned)?;
        if (gpa.0 | hpa.0 | bytes) & 0xfff != 0 {
            return Err(MapError::Misaligned);
        }
        if let Some(taken) = self.first_mapped(gpa.0, end) {
            return Err(MapError::Occupied(Gpa(taken)));
        }
        let mut at = gpa.0;
        while at < end {
            let page = hpa.wrapping_add(at - gpa.0);
            let level = self.largest_fit(at, page.0, end - at);
            let leaf = Leaf {
                page,
                rights,
                memory_type,
            };
            self.map_leaf(at, leaf, level)?;
            at += level.bytes();
        }
        Ok(())
    }

    /// Removes the one page, of whatever size, that maps `gpa`; returns false if none does. The caller flushes the TLB before the
    /// next entry. Tables stay, so that mapping a page of that size there again needs no memory.
    pub fn unmap(&mut self, gpa: Gpa) -> bool {
        match self.walk(gpa.0) {
            (_, table, index, Entry::Leaf(_)) => {
                self.memory.write(table, index, 0);
                true
            }
            _ => false,
        }
    }

    /// What maps `gpa`, if anything.
    pub fn translate(&self, gpa: Gpa) -> Option<Mapping> {
        match self.walk(gpa.0) {
            (level, _, _, Entry::Leaf(leaf)) => Some(Mapping {
                hpa: Hpa(leaf.page.0 | gpa.0 & level.offset_mask()),
                level,
                rights: leaf.rights,
                memory_type: leaf.memory_type,
            }),
            _ => None,
        }
    }

    /// Removes every mapping; the root stays. The caller flushes the TLB before the memory is used again.
    pub fn clear(&mut self) {
        self.clear_table(self.root, Level::Top);
    }

    fn clear_table(&mut self, table: Hpa, level: Level) {
        for index in 0..512 {
            if let Entry::Table(next) = F::decode(self.memory.read(table, index), level)
                && let Some(below) = level.below()
            {
                self.clear_table(next, below);
                self.memory.release(next);
            }
            self.memory.write(table, index, 0);
        }
    }

    /// The lowest address of `at..end` that is mapped.
    fn first_mapped(&self, mut at: u64, end: u64) -> Option<u64> {
        while at < end {
            let (level, _, _, entry) = self.walk(at);
            if matches!(entry, Entry::Leaf(..)) {
                return Some(at);
            }
            at = (at | level.offset_mask()) + 1;
        }
        None
    }

    fn largest_fit(&self, gpa: u64, hpa: u64, bytes: u64) -> Level {
        [Level::Huge, Level::Large]
            .into_iter()
            .find(|level| {
                *level <= self.largest
                    && (gpa | hpa) & level.offset_mask() == 0
                    && bytes >= level.bytes()
            })
            .unwrap_or(Level::Page)
    }

    /// Walks as far as the tables go: the level, table, index and meaning of the last entry.
    fn walk(&self, gpa: u64) -> (Level, Hpa, usize, Entry) {
        let mut table = self.root;
        let mut level = Level::Top;
        loop {
            let index = level.index(gpa);
            let entry = F::decode(self.memory.read(table, index), level);
            match (entry, level.below()) {
                (Entry::Table(next), Some(below)) => {
                    table = next;
                    level = below;
                }
                _ => return (level, table, index, entry),
            }
        }
    }

    fn map_leaf(&mut self, gpa: u64, leaf: Leaf, level: Level) -> Result<(), MapError> {
        loop {
            let (at, table, index, entry) = self.walk(gpa);
            if at == level {
                if entry != Entry::Empty {
                    // An empty table of an earlier, finer mapping stands where a larger page would go.
                    return Err(MapError::Occupied(Gpa(gpa)));
                }
                self.memory.write(table, index, F::leaf(leaf, level));
                return Ok(());
            }
            if at < level {
                // Tables left by a failed finer mapping: map the large page through them, piece by piece.
                let below = level.below().ok_or(MapError::Occupied(Gpa(gpa)))?;
                for offset in (0..level.bytes()).step_by(below.bytes() as usize) {
                    let page = leaf.page.wrapping_add(offset);
                    self.map_leaf(gpa + offset, Leaf { page, ..leaf }, below)?;
                }
                return Ok(());
            }
            let next = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
            self.memory.write(table, index, F::table(next));
        }
    }
}

#[cfg(test)]
mod tests;
