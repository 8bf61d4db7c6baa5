//! Four levels of tables over any format.

use crate::format::{Entry, Format, Level, Rights};
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
}

/// Why a range was not mapped. The tables are as before, but for empty tables that a failed attempt may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Addresses or length are no whole pages, or lie beyond 48 bits.
    Misaligned,
    /// Something is mapped there already.
    Occupied(Gpa),
    /// No page left for a table.
    OutOfMemory,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => f.write_str("the range is no whole pages below 2^48"),
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

    /// Maps `bytes` from `gpa` on to `hpa` on. New translations need no TLB flush: neither vendor caches absent ones
    /// (APM vol. 2, 5.5.2; SDM vol. 3C, 29.4.3.3).
    pub fn map(&mut self, gpa: Gpa, hpa: Hpa, bytes: u64, rights: Rights) -> Result<(), MapError> {
        let end = gpa
            .0
            .checked_add(bytes)
            .filter(|&end| end <= 1 << 48)
            .ok_or(MapError::Misaligned)?;
        if (gpa.0 | hpa.0 | bytes) & 0xfff != 0 {
            return Err(MapError::Misaligned);
        }
        if let Some(taken) = self.first_mapped(gpa.0, end) {
            return Err(MapError::Occupied(Gpa(taken)));
        }
        let mut at = gpa.0;
        while at < end {
            let to = hpa.0 + (at - gpa.0);
            let level = self.largest_fit(at, to, end - at);
            self.map_leaf(at, to, level, rights)?;
            at += level.bytes();
        }
        Ok(())
    }

    /// What maps `gpa`, if anything.
    pub fn translate(&self, gpa: Gpa) -> Option<Mapping> {
        match self.walk(gpa.0) {
            (level, _, _, Entry::Leaf(page, rights)) => Some(Mapping {
                hpa: Hpa(page.0 | gpa.0 & (level.bytes() - 1)),
                level,
                rights,
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
            at = (at | (level.bytes() - 1)) + 1;
        }
        None
    }

    fn largest_fit(&self, gpa: u64, hpa: u64, bytes: u64) -> Level {
        [Level::Huge, Level::Large]
            .into_iter()
            .find(|level| {
                *level <= self.largest
                    && (gpa | hpa) & (level.bytes() - 1) == 0
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

    fn map_leaf(
        &mut self,
        gpa: u64,
        hpa: u64,
        level: Level,
        rights: Rights,
    ) -> Result<(), MapError> {
        loop {
            let (at, table, index, entry) = self.walk(gpa);
            if at == level {
                if entry != Entry::Empty {
                    // An empty table of an earlier, finer mapping stands where a larger page would go.
                    return Err(MapError::Occupied(Gpa(gpa)));
                }
                self.memory
                    .write(table, index, F::leaf(Hpa(hpa), level, rights));
                return Ok(());
            }
            if at < level {
                // Tables left by a failed finer mapping: map the large page through them, piece by piece.
                let below = level.below().ok_or(MapError::Occupied(Gpa(gpa)))?;
                for offset in (0..level.bytes()).step_by(below.bytes() as usize) {
                    self.map_leaf(gpa + offset, hpa + offset, below, rights)?;
                }
                return Ok(());
            }
            let next = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
            self.memory.write(table, index, F::table(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npt::Npt;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Table pages in a vector; page n lives at address (n + 1) << 12.
    struct Pages {
        pages: Vec<[u64; 512]>,
        limit: usize,
    }

    impl TableMemory for Pages {
        fn allocate(&mut self) -> Option<Hpa> {
            if self.pages.len() == self.limit {
                return None;
            }
            self.pages.push([0; 512]);
            Some(Hpa((self.pages.len() as u64) << 12))
        }
        fn release(&mut self, _table: Hpa) {}
        fn read(&self, table: Hpa, index: usize) -> u64 {
            self.pages[(table.0 >> 12) as usize - 1][index]
        }
        fn write(&mut self, table: Hpa, index: usize, entry: u64) {
            self.pages[(table.0 >> 12) as usize - 1][index] = entry;
        }
    }

    fn tables(limit: usize) -> Tables<Pages, Npt> {
        Tables::new(
            Pages {
                pages: Vec::new(),
                limit,
            },
            Level::Huge,
        )
        .unwrap()
    }

    #[test]
    fn aligned_memory_takes_few_large_pages() {
        let mut tables = tables(8);
        tables
            .map(Gpa(0), Hpa(0x4000_0000), 3 << 30, Rights::ReadWriteExecute)
            .unwrap();
        assert_eq!(tables.memory.pages.len(), 2);
        let found = tables.translate(Gpa(0x8000_1234)).unwrap();
        assert_eq!(
            found,
            Mapping {
                hpa: Hpa(0xc000_1234),
                level: Level::Huge,
                rights: Rights::ReadWriteExecute
            }
        );
    }

    #[test]
    fn pages_larger_than_the_cpu_has_are_not_used() {
        let mut tables: Tables<_, Npt> = Tables::new(
            Pages {
                pages: Vec::new(),
                limit: 8,
            },
            Level::Large,
        )
        .unwrap();
        tables
            .map(Gpa(0), Hpa(0), 1 << 30, Rights::ReadWriteExecute)
            .unwrap();
        assert_eq!(tables.translate(Gpa(0)).unwrap().level, Level::Large);
    }

    #[test]
    fn a_hole_stays_a_hole() {
        let mut tables = tables(16);
        tables
            .map(Gpa(0), Hpa(0x20_0000), 0xa_0000, Rights::ReadWriteExecute)
            .unwrap();
        tables
            .map(Gpa(0xc_0000), Hpa(0x2c_0000), 0x4_0000, Rights::ReadExecute)
            .unwrap();
        assert_eq!(tables.translate(Gpa(0xa_0000)), None);
        assert_eq!(
            tables.translate(Gpa(0xc_0fff)).unwrap().rights,
            Rights::ReadExecute
        );
    }

    #[test]
    fn what_is_mapped_is_not_mapped_again() {
        let mut tables = tables(16);
        tables
            .map(Gpa(0x1000), Hpa(0), 0x1000, Rights::ReadWriteExecute)
            .unwrap();
        let refused = tables.map(Gpa(0), Hpa(0x8000), 0x4000, Rights::ReadWriteExecute);
        assert_eq!(refused, Err(MapError::Occupied(Gpa(0x1000))));
        assert_eq!(tables.translate(Gpa(0)), None);
        tables.clear();
        assert_eq!(tables.translate(Gpa(0x1000)), None);
    }

    #[test]
    fn running_out_of_tables_is_an_error() {
        let mut tables = tables(3);
        let refused = tables.map(Gpa(0), Hpa(0), 0x1000, Rights::ReadWriteExecute);
        assert_eq!(refused, Err(MapError::OutOfMemory));
    }

    proptest! {
        #[test]
        fn exactly_the_mapped_bytes_translate(
            gpa in 0_u64..0x1000, hpa in 0_u64..0x1000, pages in 1_u64..0x800, probe in 0_u64..0x2000,
        ) {
            let mut tables = tables(64);
            tables.map(Gpa(gpa << 12), Hpa(hpa << 12), pages << 12, Rights::ReadWriteExecute).unwrap();
            let found = tables.translate(Gpa(probe << 12 | 5)).map(|mapping| mapping.hpa.0);
            let wanted = (gpa..gpa + pages).contains(&probe).then(|| (hpa + (probe - gpa)) << 12 | 5);
            prop_assert_eq!(found, wanted);
        }
    }
}
