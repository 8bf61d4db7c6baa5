//! From AP-646, and as OVMF's flash driver uses the part.

use super::*;
use crate::testing::twins;
use alloc::vec;
use proptest::prelude::*;

const BYTES: usize = 4 * BLOCK_BYTES;

fn flash() -> Flash {
    Flash::new(vec![0x5a; BYTES], Protection::Writable).unwrap()
}

fn get(flash: &Flash, offset: u64) -> u8 {
    flash.read(offset, Width::Byte) as u8
}

fn put(flash: &mut Flash, offset: u64, value: u8) {
    flash.write(offset, Width::Byte, value.into());
}

#[test]
fn detection_as_ovmf_does_it() {
    let mut flash = flash();
    let original = get(&flash, 8);
    put(&mut flash, 8, CLEAR_STATUS);
    assert_eq!(get(&flash, 8), original, "neither RAM …");
    put(&mut flash, 8, READ_STATUS);
    assert_eq!(get(&flash, 8), 0, "… nor ROM");
    put(&mut flash, 8, READ_ARRAY);
    assert!(flash.shows_contents());
    assert_eq!(get(&flash, 8), original);
}

#[test]
fn erase_then_program() {
    let mut flash = flash();
    put(&mut flash, 5000, ERASE);
    put(&mut flash, 5000, CONFIRM);
    assert_eq!(get(&flash, 0), READY);
    put(&mut flash, 0, READ_ARRAY);
    assert_eq!((get(&flash, 4095), get(&flash, 4096)), (0x5a, 0xff));
    assert_eq!((get(&flash, 8191), get(&flash, 8192)), (0xff, 0x5a));
    assert_eq!(flash.take_changed(), Some(4096..8192));
    for value in [0x3f, 0xf3] {
        put(&mut flash, 4100, PROGRAM_ALIAS);
        put(&mut flash, 4100, value);
    }
    put(&mut flash, 0, READ_ARRAY);
    assert_eq!(get(&flash, 4100), 0x33, "bits are only cleared");
    assert_eq!(flash.read(4099, Width::Dword), 0xffff_33ff);
    assert_eq!(flash.take_changed(), Some(4100..4101));
    assert_eq!(flash.take_changed(), None);
    put(&mut flash, 0, ERASE);
    put(&mut flash, 0, READ_ARRAY);
    assert_eq!(get(&flash, 0), READY | ERASE_ERROR | PROGRAM_ERROR);
    assert_eq!(flash.take_changed(), None);
}

#[test]
fn the_write_buffer() {
    let mut flash = flash();
    put(&mut flash, 0x100, WRITE_TO_BUFFER);
    assert_eq!(get(&flash, 0x100), READY, "there is a buffer");
    put(&mut flash, 0x100, 3);
    flash.write(0x110, Width::Dword, 0x0102_0304);
    put(&mut flash, 0x100, CONFIRM);
    put(&mut flash, 0, READ_ARRAY);
    assert_eq!(flash.read(0x110, Width::Dword), 0x0002_0200);
    put(&mut flash, 0x100, WRITE_TO_BUFFER);
    put(&mut flash, 0x100, 1);
    put(&mut flash, 0x1ff, 0);
    put(&mut flash, 0x200, 0);
    put(&mut flash, 0x100, CONFIRM);
    assert_eq!(get(&flash, 0), READY | ERASE_ERROR | PROGRAM_ERROR);
    put(&mut flash, 0, READ_ARRAY);
    assert_eq!(get(&flash, 0x1ff), 0x5a);
}

#[test]
fn identity_and_query() {
    let mut flash = flash();
    put(&mut flash, 0, READ_ID);
    assert_eq!(flash.read(0, Width::Word), 0x1889);
    put(&mut flash, 0x55, READ_QUERY);
    assert_eq!(flash.read(0x10, Width::Dword), 0x0159_5251);
    assert_eq!(get(&flash, 0x27), 14, "16 KiB");
    assert_eq!(
        flash.read(0x2d, Width::Dword),
        0x0010_0003,
        "4 blocks of 4 KiB"
    );
    assert!(!flash.shows_contents());
    flash.reset();
    assert!(flash.shows_contents());
}

#[test]
fn a_locked_part_says_so() {
    let mut flash = Flash::new(vec![0x5a; BLOCK_BYTES], Protection::Locked).unwrap();
    put(&mut flash, 0, PROGRAM);
    put(&mut flash, 0, 0);
    assert_eq!(get(&flash, 0), READY | PROGRAM_ERROR | LOCKED);
    put(&mut flash, 0, CLEAR_STATUS);
    put(&mut flash, 0, ERASE);
    put(&mut flash, 0, CONFIRM);
    assert_eq!(get(&flash, 0), READY | ERASE_ERROR | LOCKED);
    put(&mut flash, 0, READ_ARRAY);
    assert_eq!(get(&flash, 0), 0x5a);
    assert_eq!(flash.take_changed(), None);
    assert!(flash.save().len() < 100, "code is not saved");
}

#[test]
fn sizes_that_are_none() {
    for bytes in [0, 100, BLOCK_BYTES + 1, (1 << 24) + BLOCK_BYTES] {
        assert!(Flash::new(vec![0; bytes], Protection::Writable).is_err());
    }
    let other = Flash::new(vec![0; BLOCK_BYTES], Protection::Writable).unwrap();
    let mut flash = flash();
    assert!(flash.restore(&other.save()).is_err());
}

type Operation = (bool, u64, usize, u64);

fn operation() -> impl Strategy<Value = Operation> {
    let value = prop_oneof![
        any::<u64>(),
        prop::sample::select(
            [
                READ_ARRAY,
                READ_ID,
                READ_QUERY,
                CLEAR_STATUS,
                PROGRAM,
                WRITE_TO_BUFFER,
                ERASE,
                CONFIRM,
                LOCK,
                2
            ]
            .as_slice()
        )
        .prop_map(u64::from),
    ];
    let offset = prop_oneof![0..BYTES as u64 + 16, 0..16_u64, any::<u64>()];
    (any::<bool>(), offset, 0_usize..4, value)
}

fn step(flash: &mut Flash, &(write, offset, width, value): &Operation) -> u64 {
    let width = [Width::Byte, Width::Word, Width::Dword, Width::Qword][width];
    if write {
        flash.write(offset, width, value);
        0
    } else {
        flash.read(offset, width)
    }
}

proptest! {
    // Each case saves and restores the whole contents several times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..100),
        cut in 0_usize..100,
    ) {
        twins(flash, &operations, cut, step);
    }
}
