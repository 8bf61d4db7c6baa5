//! Every test runs on every format.

use super::*;
use crate::ept::Ept;
use crate::npt::Npt;
use MemoryType::{Uncacheable, WriteBack, WriteThrough};
use Rights::{ReadExecute, ReadWriteExecute};
use proptest::prelude::*;
use std::vec::Vec;

macro_rules! on_every_format {
    ($($test:ident)*) => {
        mod npt {
            $(#[test] fn $test() { super::$test::<super::Npt>() })*
        }
        mod ept {
            $(#[test] fn $test() { super::$test::<super::Ept>() })*
        }
    };
}

on_every_format! {
    aligned_memory_takes_few_large_pages
    pages_larger_than_the_cpu_has_are_not_used
    a_hole_stays_a_hole
    a_page_comes_and_goes
    what_is_mapped_is_not_mapped_again
    running_out_of_tables_is_an_error
    what_no_entry_can_hold_is_refused
    a_large_page_goes_through_the_tables_of_a_finer_one
    exactly_the_mapped_bytes_translate
    each_piece_keeps_its_type
}

mod dirty;

/// Table pages in a vector; page n lives at address (n + 1) << 12.
struct Pages {
    pages: Vec<[u64; 512]>,
    released: Vec<Hpa>,
    limit: usize,
    /// What a CPU sets in the next entry that is to be exchanged, just before.
    raced: u64,
}

impl TableMemory for Pages {
    fn allocate(&mut self) -> Option<Hpa> {
        if let Some(table) = self.released.pop() {
            self.pages[(table.0 >> 12) as usize - 1] = [0; 512];
            return Some(table);
        }
        if self.pages.len() == self.limit {
            return None;
        }
        self.pages.push([0; 512]);
        Some(Hpa((self.pages.len() as u64) << 12))
    }
    fn release(&mut self, table: Hpa) {
        self.released.push(table);
    }
    fn read(&self, table: Hpa, index: usize) -> u64 {
        self.pages[(table.0 >> 12) as usize - 1][index]
    }
    fn write(&mut self, table: Hpa, index: usize, entry: u64) {
        self.pages[(table.0 >> 12) as usize - 1][index] = entry;
    }
    fn compare_exchange(
        &mut self,
        table: Hpa,
        index: usize,
        current: u64,
        new: u64,
    ) -> Result<(), u64> {
        let bits = core::mem::take(&mut self.raced);
        self.write(table, index, self.read(table, index) | bits);
        match self.read(table, index) {
            found if found == current => {
                self.write(table, index, new);
                Ok(())
            }
            found => Err(found),
        }
    }
}

fn tables<F: Format>(limit: usize, largest: Level) -> Tables<Pages, F> {
    let pages = Pages {
        pages: Vec::new(),
        released: Vec::new(),
        limit,
        raced: 0,
    };
    Tables::new(pages, largest).unwrap()
}

/// What the format makes of a type when it is read back.
fn carried<F: Format>(memory_type: MemoryType) -> MemoryType {
    let leaf = Leaf {
        page: Hpa(0),
        rights: ReadExecute,
        memory_type,
    };
    match F::decode(F::leaf(leaf, Level::Page), Level::Page) {
        Entry::Leaf(leaf) => leaf.memory_type,
        other => panic!("{other:?}"),
    }
}

fn aligned_memory_takes_few_large_pages<F: Format>() {
    let mut tables = tables::<F>(8, Level::Huge);
    tables
        .map(
            Gpa(0),
            Hpa(0x4000_0000),
            3 << 30,
            ReadWriteExecute,
            WriteBack,
        )
        .unwrap();
    assert_eq!(tables.memory.pages.len(), 2);
    let found = tables.translate(Gpa(0x8000_1234)).unwrap();
    assert_eq!(
        found,
        Mapping {
            hpa: Hpa(0xc000_1234),
            level: Level::Huge,
            rights: ReadWriteExecute,
            memory_type: WriteBack,
        }
    );
}

fn pages_larger_than_the_cpu_has_are_not_used<F: Format>() {
    for largest in [Level::Page, Level::Large] {
        let mut tables = tables::<F>(600, largest);
        tables
            .map(Gpa(0), Hpa(0), 1 << 30, ReadWriteExecute, WriteBack)
            .unwrap();
        assert_eq!(tables.translate(Gpa(0)).unwrap().level, largest);
    }
}

fn a_hole_stays_a_hole<F: Format>() {
    let mut tables = tables::<F>(16, Level::Huge);
    tables
        .map(
            Gpa(0),
            Hpa(0x20_0000),
            0xa_0000,
            ReadWriteExecute,
            WriteBack,
        )
        .unwrap();
    tables
        .map(
            Gpa(0xc_0000),
            Hpa(0x2c_0000),
            0x4_0000,
            ReadExecute,
            WriteBack,
        )
        .unwrap();
    assert_eq!(tables.translate(Gpa(0xa_0000)), None);
    assert_eq!(tables.translate(Gpa(0xc_0fff)).unwrap().rights, ReadExecute);
}

fn a_page_comes_and_goes<F: Format>() {
    let mut tables = tables::<F>(5, Level::Huge);
    let mut map = || {
        tables.map(
            Gpa(0xfee0_0000),
            Hpa(0x5000),
            0x1000,
            ReadWriteExecute,
            WriteBack,
        )
    };
    map().unwrap();
    assert!(tables.unmap(Gpa(0xfee0_0123)));
    assert_eq!(tables.translate(Gpa(0xfee0_0000)), None);
    assert!(!tables.unmap(Gpa(0xfee0_0000)) && !tables.unmap(Gpa(0xfed0_0000)));
    let mut map = || {
        tables.map(
            Gpa(0xfee0_0000),
            Hpa(0x5000),
            0x1000,
            ReadWriteExecute,
            WriteBack,
        )
    };
    map().unwrap();
}

fn what_is_mapped_is_not_mapped_again<F: Format>() {
    let mut tables = tables::<F>(16, Level::Huge);
    tables
        .map(Gpa(0x1000), Hpa(0), 0x1000, ReadWriteExecute, WriteBack)
        .unwrap();
    let refused = tables.map(Gpa(0), Hpa(0x8000), 0x4000, ReadWriteExecute, WriteBack);
    assert_eq!(refused, Err(MapError::Occupied(Gpa(0x1000))));
    assert_eq!(tables.translate(Gpa(0)), None);
    tables.clear();
    assert_eq!(tables.translate(Gpa(0x1000)), None);
}

fn running_out_of_tables_is_an_error<F: Format>() {
    let mut tables = tables::<F>(3, Level::Huge);
    let refused = tables.map(Gpa(0), Hpa(0), 0x1000, ReadWriteExecute, WriteBack);
    assert_eq!(refused, Err(MapError::OutOfMemory));
}

fn what_no_entry_can_hold_is_refused<F: Format>() {
    let mut tables = tables::<F>(8, Level::Huge);
    for (gpa, hpa, bytes) in [
        (0x800, 0, 0x1000),
        (0, 0x800, 0x1000),
        (0, 0, 0x800),
        ((1 << 48) - 0x1000, 0, 0x2000),
        (!0xfff, 0, 0x2000),
        (0, (1 << 52) - 0x1000, 0x2000),
        (0, !0xfff, 0x2000),
    ] {
        let refused = tables.map(Gpa(gpa), Hpa(hpa), bytes, ReadWriteExecute, WriteBack);
        assert_eq!(refused, Err(MapError::Misaligned));
    }
    assert_eq!(tables.memory.pages.len(), 1);
}

fn a_large_page_goes_through_the_tables_of_a_finer_one<F: Format>() {
    let mut tables = tables::<F>(5, Level::Huge);
    // The tables are there before the page that needs them, as after an attempt that failed later.
    tables
        .map_leaf(
            0,
            Leaf {
                page: Hpa(0x1000),
                rights: ReadExecute,
                memory_type: WriteThrough,
            },
            Level::Page,
        )
        .unwrap();
    let (_, table, index, _) = tables.walk(0);
    tables.memory.write(table, index, 0);
    tables
        .map(
            Gpa(0),
            Hpa(0x4000_0000),
            1 << 30,
            ReadWriteExecute,
            WriteBack,
        )
        .unwrap();
    for (gpa, level) in [(0x1005, Level::Page), (0x20_0005, Level::Large)] {
        let found = tables.translate(Gpa(gpa)).unwrap();
        assert_eq!((found.hpa, found.level), (Hpa(0x4000_0000 + gpa), level));
    }
}

fn exactly_the_mapped_bytes_translate<F: Format>() {
    proptest!(|(gpa in 0_u64..0x1000, hpa in 0_u64..0x1000, pages in 1_u64..0x800, probe in 0_u64..0x2000)| {
        let mut tables = tables::<F>(64, Level::Huge);
        tables.map(Gpa(gpa << 12), Hpa(hpa << 12), pages << 12, ReadWriteExecute, WriteBack).unwrap();
        let found = tables.translate(Gpa(probe << 12 | 5)).map(|mapping| mapping.hpa.0);
        let wanted = (gpa..gpa + pages).contains(&probe).then(|| (hpa + (probe - gpa)) << 12 | 5);
        prop_assert_eq!(found, wanted);
    });
}

fn each_piece_keeps_its_type<F: Format>() {
    let types = [Uncacheable, WriteThrough, WriteBack];
    proptest!(|(
        pieces in prop::collection::vec((1_u64..0x600, 0..3_usize), 1..5), base in 0_u64..0x400,
    )| {
        let mut tables = tables::<F>(64, Level::Huge);
        let mut at = base << 12;
        for &(pages, kind) in &pieces {
            // The same offset in host memory, so that large pages would fit across the pieces.
            tables.map(Gpa(at), Hpa(at + (1 << 30)), pages << 12, ReadWriteExecute, types[kind]).unwrap();
            at += pages << 12;
        }
        let mut at = base << 12;
        for &(pages, kind) in &pieces {
            for page in 0..pages {
                let found = tables.translate(Gpa(at + (page << 12))).unwrap();
                prop_assert_eq!(found.memory_type, carried::<F>(types[kind]));
                prop_assert_eq!(found.hpa.0, at + (page << 12) + (1 << 30));
            }
            at += pages << 12;
        }
    });
}
