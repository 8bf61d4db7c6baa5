//! What the map of guest RAM promises.

use super::*;
use crate::area::Reads;
use alloc::vec;
use proptest::prelude::*;

fn two_pieces() -> GuestMemory {
    GuestMemory::anonymous(&[
        (Gpa(0), 0x2000),
        (Gpa(0x2000), 0x1000),
        (Gpa(0x10000), 0x1000),
    ])
}

#[test]
fn a_value_across_adjoining_regions_round_trips() {
    let memory = two_pieces();
    memory
        .store(Gpa(0x1ffd), &0x1122_3344_5566_7788_u64)
        .unwrap();
    assert_eq!(memory.load::<u64>(Gpa(0x1ffd)), Ok(0x1122_3344_5566_7788));
}

#[test]
fn an_access_that_leaves_ram_moves_nothing() {
    let memory = two_pieces();
    memory.fill(Gpa(0x2ff0), 16, 0xaa).unwrap();
    assert!(memory.write(Gpa(0x2ffc), &[0; 8]).is_err());
    assert_eq!(memory.load::<u64>(Gpa(0x2ff8)), Ok(0xaaaa_aaaa_aaaa_aaaa));
    assert!(memory.read(Gpa(u64::MAX), &mut [0; 2]).is_err());
    assert!(memory.fill(Gpa(u64::MAX - 1), 8, 0).is_err());
}

#[test]
fn writes_are_logged_and_reads_are_not() {
    let memory = two_pieces();
    let log = memory.dirty_log().unwrap();
    let _ = memory.load::<u32>(Gpa(0));
    memory.store(Gpa(0x1ffe), &0_u32).unwrap();
    assert_eq!(log.take_word(0), Some(0b110));
    assert_eq!(log.take_word(0), Some(0));
}

#[test]
fn marks_are_logged_as_writes_but_not_as_changes_of_a_table() {
    let memory = two_pieces();
    let (log, tables) = (memory.dirty_log().unwrap(), memory.table_log().unwrap());
    tables.protect(1);
    memory.store(Gpa(0x1000), &1_u64).unwrap();
    let mut told = Vec::new();
    tables.take_written(&mut |page| told.push(page));
    assert_eq!(memory.set_marks_u64(Gpa(0x1000), 1, 0x21), Ok(Ok(1)));
    assert_eq!(memory.set_marks_u32(Gpa(0x1000), 1, 0x61), Ok(Err(0x21)));
    tables.take_written(&mut |page| told.push(page));
    assert_eq!(told, [1]);
    assert_eq!(log.take_word(0), Some(0b10));
}

#[test]
fn compare_exchange_tells_what_it_found() {
    let memory = two_pieces();
    memory.store(Gpa(8), &5_u64).unwrap();
    assert_eq!(memory.compare_exchange_u64(Gpa(8), 4, 9), Ok(Err(5)));
    assert_eq!(memory.compare_exchange_u64(Gpa(8), 5, 9), Ok(Ok(5)));
    assert!(memory.compare_exchange_u64(Gpa(4), 0, 0).is_err());
}

fn with_an_area() -> GuestMemory {
    let memory = two_pieces().with_anonymous_areas(&[(Gpa(0x4000), 0x1000)]);
    memory.program(Gpa(0x4000), &[1; 0x1000]).unwrap();
    memory.fill(Gpa(0x4000), 0x1000, 2).unwrap();
    memory
}

#[test]
fn areas_show_and_take_what_they_are_switched_to() {
    let memory = with_an_area();
    let at = Gpa(0x4ffc);
    let switch = |reads, writes| {
        memory.switch(Gpa(0x4000), 0x1000, Attributes { reads, writes });
    };
    assert_eq!(memory.load::<u8>(at), Ok(2));
    switch(Reads::Rom, Writes::Ram);
    memory.store(at, &3_u8).unwrap();
    assert_eq!(memory.load::<u8>(at), Ok(1));
    assert_eq!(
        memory.compare_exchange_u32(at, 0x0101_0101, 4),
        Ok(Ok(0x0101_0101))
    );
    switch(Reads::Ram, Writes::Lost);
    assert_eq!(memory.load::<u32>(at), Ok(4));
    memory.store(at, &5_u8).unwrap();
    assert_eq!(memory.compare_exchange_u32(at, 4, 9), Ok(Ok(4)));
    assert_eq!(memory.load::<u32>(at), Ok(4));
    assert!(memory.contains(at, 4));
    switch(Reads::Ram, Writes::Device);
    assert!(memory.store(at, &5_u8).is_err());
    assert!(memory.fill(at, 1, 0).is_err());
    assert!(!memory.contains(at, 4));
    switch(Reads::Device, Writes::Ram);
    assert!(memory.load::<u8>(at).is_err());
    memory.store(at, &6_u32).unwrap();
    switch(Reads::Ram, Writes::Ram);
    assert_eq!(memory.compare_exchange_u32(at, 6, 7), Ok(Ok(6)));
    assert_eq!(memory.load::<u32>(at), Ok(7));
}

#[test]
fn a_switch_is_counted_only_if_it_changes_something() {
    let memory = with_an_area();
    let before = memory.generation();
    memory.switch(Gpa(0x4000), 0x1000, Attributes::RAM);
    memory.switch(Gpa(0x4000), 0xfff, Attributes::ROM);
    memory.switch(Gpa(0x4001), 0x2000, Attributes::ROM);
    assert_eq!(memory.generation(), before);
    memory.switch(Gpa(0), u64::MAX, Attributes::ROM);
    assert_ne!(memory.generation(), before);
}

#[test]
fn areas_neither_overlap_nor_lie_in_ram() {
    let area = |gpa| Area::new((Gpa(gpa), 0x1000), None, None, Attributes::ROM);
    for areas in [
        vec![area(0x2000)],
        vec![area(0x5000), area(0x4000)],
        vec![area(0x4000), area(0x4000)],
        vec![area(0x4800)],
    ] {
        // SAFETY: areas without memory ask for nothing.
        assert!(unsafe { two_pieces().with_areas(areas) }.is_none());
    }
}

#[test]
fn writes_that_are_lost_are_not_logged() {
    let memory = with_an_area();
    let log = memory.dirty_log().unwrap();
    memory.switch(Gpa(0x4000), 0x1000, Attributes::ROM);
    memory.store(Gpa(0x4000), &0_u32).unwrap();
    assert_eq!(log.take_word(0), Some(0));
    memory.program(Gpa(0x4000), &[0]).unwrap();
    assert_eq!(log.take_word(0), Some(1 << 4));
}

proptest! {
    #[test]
    fn every_access_is_all_or_nothing(gpa in 0_u64..0x12000, bytes in 0_usize..0x1800) {
        let memory = two_pieces();
        let wanted = (gpa..gpa + bytes as u64).all(|at| at < 0x3000 || (0x10000..0x11000).contains(&at));
        prop_assert_eq!(memory.write(Gpa(gpa), &alloc::vec![7; bytes]).is_ok(), wanted);
        let mut back = alloc::vec![0; bytes];
        prop_assert_eq!(memory.read(Gpa(gpa), &mut back).is_ok(), wanted);
        prop_assert!(!wanted || back.iter().all(|&byte| byte == 7));
        prop_assert_eq!(memory.contains(Gpa(gpa), bytes as u64), wanted);
    }
}
