//! Tracking, against a CPU that writes as silicon does.

use super::*;
use std::collections::BTreeSet;

on_every_format! {
    split_and_join_are_inverse
    a_split_that_runs_out_of_tables_changes_nothing
    a_large_leaf_is_dirty_as_a_whole
    bits_that_the_cpu_sets_meanwhile_are_kept
    faults_are_told_apart
    a_rom_stays_one
    dirty_bits_tell_what_was_written
    protection_tells_what_was_written
}

const PAGES: u64 = 0x500;

/// RAM of one large page and a bit, after a hole.
fn ram<F: Format>(limit: usize) -> Tables<Pages, F> {
    let mut tables = tables::<F>(limit, Level::Huge);
    let base = 0x4000_0000;
    tables
        .map(Gpa(0), Hpa(base), PAGES << 12, ReadWriteExecute, WriteBack)
        .unwrap();
    tables
}

fn in_use<F>(tables: &Tables<Pages, F>) -> usize {
    tables.memory.pages.len() - tables.memory.released.len()
}

/// What a CPU does at a write: false if it faults.
fn cpu_writes<F: Format>(tables: &mut Tables<Pages, F>, gpa: u64) -> bool {
    let (_, table, index, entry) = tables.walk(gpa);
    let raw = tables.memory.read(table, index);
    let writable = matches!(entry, Entry::Leaf(_)) && raw & F::WRITE != 0;
    if writable {
        tables.memory.write(table, index, raw | F::DIRTY);
    }
    writable
}

fn dirty_pages<F: Format>(tables: &mut Tables<Pages, F>) -> BTreeSet<u64> {
    let mut pages = BTreeSet::new();
    tables.clean_all(&mut |piece| {
        let first = piece.gpa.0 >> 12;
        pages.extend(first..first + (piece.bytes >> 12));
    });
    pages
}

fn split_and_join_are_inverse<F: Format>() {
    let mut tables = tables::<F>(700, Level::Huge);
    for (gpa, hpa, bytes, rights, memory_type) in [
        (0, 0x20_0000, 0xa_0000, ReadWriteExecute, WriteBack),
        (0xc_0000, 0x2c_0000, 0x4_0000, ReadExecute, WriteBack),
        (
            0x20_0000,
            0x40_0000,
            0x40_0000,
            ReadWriteExecute,
            WriteThrough,
        ),
        (1 << 30, 1 << 30, 1 << 30, ReadWriteExecute, WriteBack),
    ] {
        tables
            .map(Gpa(gpa), Hpa(hpa), bytes, rights, memory_type)
            .unwrap();
    }
    let before = tables.memory.pages.clone();
    let probes = [
        0,
        0xa_0000,
        0xc_0fff,
        0x20_1234,
        0x3f_ffff,
        0x60_0000,
        0x5432_1678,
    ];
    let found = probes.map(|gpa| tables.translate(Gpa(gpa)));
    tables.split().unwrap();
    for (gpa, before) in probes.into_iter().zip(found) {
        let level = Level::Page;
        let expected = before.map(|mapping| Mapping { level, ..mapping });
        assert_eq!(tables.translate(Gpa(gpa)), expected);
    }
    tables.protect_all();
    tables.join();
    assert_eq!(in_use(&tables), before.len());
    assert_eq!(tables.memory.pages[..before.len()], before);
}

fn a_split_that_runs_out_of_tables_changes_nothing<F: Format>() {
    let mut tables = tables::<F>(300, Level::Huge);
    tables
        .map(Gpa(0), Hpa(0), 1 << 30, ReadWriteExecute, WriteBack)
        .unwrap();
    let before = tables.memory.pages.clone();
    assert_eq!(tables.split(), Err(MapError::OutOfMemory));
    assert_eq!(in_use(&tables), before.len());
    assert_eq!(tables.memory.pages[..before.len()], before);
}

fn a_large_leaf_is_dirty_as_a_whole<F: Format>() {
    let mut tables = ram::<F>(16);
    dirty_pages(&mut tables);
    assert!(cpu_writes(&mut tables, 0x12_3456));
    let whole = Piece {
        gpa: Gpa(0),
        bytes: 0x20_0000,
    };
    assert_eq!(tables.clean(Gpa(0x1000)), Some(whole));
    assert_eq!(tables.clean(Gpa(0x1000)), None);
}

fn bits_that_the_cpu_sets_meanwhile_are_kept<F: Format>() {
    let mut tables = ram::<F>(16);
    tables.clean_all(&mut |_| ());
    tables.memory.raced = F::DIRTY;
    tables.protect_all();
    assert!(tables.clean(Gpa(0)).is_some());
}

fn faults_are_told_apart<F: Format>() {
    let mut tables = ram::<F>(16);
    tables.split().unwrap();
    tables.protect_all();
    let page = Piece {
        gpa: Gpa(0x1_2000),
        bytes: 0x1000,
    };
    assert!(!cpu_writes(&mut tables, 0x1_2345));
    assert_eq!(tables.translate(Gpa(0x1_2345)).unwrap().rights, ReadExecute);
    assert_eq!(tables.admit(Gpa(0x1_2345)), WriteFault::First(page));
    assert!(cpu_writes(&mut tables, 0x1_2345));
    assert_eq!(tables.admit(Gpa(0x1_2345)), WriteFault::Stale);
    assert_eq!(tables.admit(Gpa(PAGES << 12)), WriteFault::Refused);
    assert_eq!(tables.protect(Gpa(0x1_2fff)), Some(page));
    assert_eq!(tables.protect(Gpa(0x1_2fff)), None);
}

fn a_rom_stays_one<F: Format>() {
    let mut tables = tables::<F>(16, Level::Huge);
    tables
        .map(Gpa(0), Hpa(0), 0x20_0000, ReadExecute, WriteBack)
        .unwrap();
    tables.split().unwrap();
    tables.protect_all();
    assert_eq!(tables.admit(Gpa(0)), WriteFault::Refused);
    tables.join();
    assert_eq!(tables.translate(Gpa(0)).unwrap().rights, ReadExecute);
}

#[derive(Clone, Debug)]
enum Act {
    Write(u64),
    Clean(u64),
    CleanAll,
    Split,
    Join,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..PAGES + 8).prop_map(Act::Write),
        4 => (0..PAGES + 8).prop_map(Act::Clean),
        1 => Just(Act::CleanAll),
        1 => Just(Act::Split),
        1 => Just(Act::Join),
    ]
}

/// The pages that share a leaf with this one.
fn neighbours<F: Format>(tables: &Tables<Pages, F>, page: u64) -> Vec<u64> {
    let Some(mapping) = tables.translate(Gpa(page << 12)) else {
        return Vec::new();
    };
    let count = mapping.level.bytes() >> 12;
    let first = page / count * count;
    (first..first + count).collect()
}

/// A join makes all of a leaf dirty of which a part is.
fn widen<F: Format>(tables: &Tables<Pages, F>, dirty: &mut BTreeSet<u64>) {
    let mut next = 0;
    while let Some(&page) = dirty.range(next..).next() {
        let leaf = neighbours(tables, page);
        next = leaf.last().map_or(u64::MAX, |last| last + 1);
        dirty.extend(leaf);
    }
}

fn dirty_bits_tell_what_was_written<F: Format>() {
    proptest!(ProptestConfig::with_cases(64), |(acts in prop::collection::vec(act(), 0..24))| {
        let mut tables = ram::<F>(16);
        dirty_pages(&mut tables);
        let mut model = BTreeSet::new();
        for act in acts {
            match act {
                Act::Write(page) => {
                    prop_assert_eq!(cpu_writes(&mut tables, page << 12), page < PAGES);
                    model.extend(neighbours(&tables, page));
                }
                Act::Clean(page) => {
                    let said = tables.clean(Gpa(page << 12 | 0x123)).is_some();
                    prop_assert_eq!(said, model.contains(&page));
                    for page in neighbours(&tables, page) {
                        model.remove(&page);
                    }
                }
                Act::CleanAll => {
                    prop_assert_eq!(dirty_pages(&mut tables), core::mem::take(&mut model));
                }
                Act::Split => tables.split().unwrap(),
                Act::Join => {
                    tables.join();
                    widen(&tables, &mut model);
                }
            }
        }
        prop_assert_eq!(dirty_pages(&mut tables), model);
    });
}

fn protection_tells_what_was_written<F: Format>() {
    proptest!(ProptestConfig::with_cases(64), |(acts in prop::collection::vec(act(), 0..24), split: bool)| {
        let mut tables = ram::<F>(16);
        if split {
            tables.split().unwrap();
        }
        tables.protect_all();
        // What was told to have been written since it was protected.
        let mut model = BTreeSet::new();
        for act in acts {
            match act {
                Act::Write(page) => {
                    let known = model.contains(&page);
                    prop_assert_eq!(cpu_writes(&mut tables, page << 12), known);
                    let told = tables.admit(Gpa(page << 12));
                    match told {
                        WriteFault::First(piece) => {
                            prop_assert!(!known && page < PAGES);
                            let first = piece.gpa.0 >> 12;
                            model.extend(first..first + (piece.bytes >> 12));
                        }
                        WriteFault::Stale => prop_assert!(known),
                        WriteFault::Refused => prop_assert!(page >= PAGES),
                    }
                    prop_assert_eq!(cpu_writes(&mut tables, page << 12), page < PAGES);
                }
                Act::Clean(page) => {
                    let said = tables.protect(Gpa(page << 12)).is_some();
                    prop_assert_eq!(said, model.contains(&page));
                    for page in neighbours(&tables, page) {
                        model.remove(&page);
                    }
                }
                Act::CleanAll => {
                    tables.protect_all();
                    model.clear();
                }
                // Tracking begins or ends with these; protection is not kept across them.
                Act::Split | Act::Join => {}
            }
        }
        tables.join();
        for page in 0..PAGES {
            prop_assert_eq!(tables.translate(Gpa(page << 12)).unwrap().rights, ReadWriteExecute);
        }
    });
}
