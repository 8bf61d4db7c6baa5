//! From the 8237A data sheet, and as drivers program it.

use super::*;
use crate::testing::twins;
use proptest::prelude::*;

fn memory() -> GuestMemory {
    GuestMemory::anonymous(&[(Gpa(0), 0x4_0000)])
}

/// Programs channel 2 as a floppy driver does.
fn floppy(dma: &mut Dma, mode: u8, page: u8, address: u16, count: u16) {
    dma.write_bytes(MASK_ONE, 2 | SET);
    dma.write_bytes(CLEAR_POINTER, 0);
    dma.write_bytes(MODE, mode | 2);
    for byte in address.to_le_bytes() {
        dma.write_bytes(4, byte);
    }
    dma.write_page(1, page);
    for byte in count.to_le_bytes() {
        dma.write_bytes(5, byte);
    }
    dma.write_bytes(MASK_ONE, 2);
}

fn word(dma: &mut Dma, register: u8) -> u16 {
    u16::from_le_bytes([dma.read_bytes(register), dma.read_bytes(register)])
}

#[test]
fn a_sector_at_a_time_until_terminal_count() {
    let memory = memory();
    let mut dma = Dma::new();
    floppy(&mut dma, 0x44, 1, 0x8000, 1023);
    let first = dma.to_memory(2, &[1; 512], &memory);
    assert_eq!(
        (first.bytes, first.terminal),
        (512, false),
        "half of it is moved"
    );
    assert_eq!(word(&mut dma, 4), 0x8200);
    assert_eq!(word(&mut dma, 5), 511);
    assert_eq!(dma.read_bytes(COMMAND_STATUS), 0);
    let second = dma.to_memory(2, &[2; 600], &memory);
    assert_eq!((second.bytes, second.terminal), (512, true));
    assert_eq!(memory.load::<u8>(Gpa(0x1_81ff)), Ok(1));
    assert_eq!(memory.load::<u8>(Gpa(0x1_83ff)), Ok(2));
    assert_eq!(memory.load::<u8>(Gpa(0x1_8400)), Ok(0));
    assert_eq!(dma.read_bytes(COMMAND_STATUS), 1 << 2);
    assert_eq!(dma.read_bytes(COMMAND_STATUS), 0, "told once");
    assert_eq!(
        dma.to_memory(2, &[3; 512], &memory).bytes,
        0,
        "masked again"
    );
}

#[test]
fn addresses_wrap_within_the_page_and_go_down() {
    let memory = memory();
    let mut dma = Dma::new();
    floppy(&mut dma, 0x44, 1, 0xfffe, 3);
    assert!(dma.to_memory(2, &[1, 2, 3, 4], &memory).terminal);
    assert_eq!(memory.load::<u16>(Gpa(0x1_fffe)), Ok(0x0201));
    assert_eq!(memory.load::<u16>(Gpa(0x1_0000)), Ok(0x0403));
    floppy(&mut dma, 0x48 | DOWN, 1, 1, 3);
    let mut back = [0; 4];
    assert!(dma.from_memory(2, &mut back, &memory).terminal);
    assert_eq!(back, [4, 3, 2, 1]);
}

#[test]
fn autoinitialize_verify_and_foreign_memory() {
    let memory = memory();
    let mut dma = Dma::new();
    floppy(&mut dma, 0x44 | AUTOINITIALIZE, 0, 0x100, 1);
    for _ in 0..3 {
        assert!(dma.to_memory(2, &[7; 2], &memory).terminal);
    }
    assert_eq!(memory.load::<u16>(Gpa(0x102)), Ok(0));
    floppy(&mut dma, 0x40, 0, 0x200, 1);
    assert!(dma.to_memory(2, &[7; 2], &memory).terminal);
    assert_eq!(
        memory.load::<u16>(Gpa(0x200)),
        Ok(0),
        "verify writes nothing"
    );
    floppy(&mut dma, 0x48, 0xff, 0, 1);
    let mut nothing = [0; 2];
    assert!(dma.from_memory(2, &mut nothing, &memory).terminal);
    assert_eq!(nothing, [0xff; 2]);
}

#[test]
fn words_and_the_cascade() {
    let memory = memory();
    let mut dma = Dma::new();
    dma.write_words(MODE, 0x45);
    for (register, value) in [(2, 0x00), (2, 0x01), (3, 1), (3, 0)] {
        dma.write_words(register, value);
    }
    dma.write_page(0xb, 3);
    dma.write_words(MASK_ONE, 1);
    let moved = dma.to_memory(5, &[1, 2, 3, 4], &memory);
    assert_eq!((moved.bytes, moved.terminal), (4, true));
    assert_eq!(memory.load::<u32>(Gpa(0x2_0200)), Ok(0x0403_0201));
    assert_eq!(dma.to_memory(4, &[1], &memory).bytes, 0);
    floppy(&mut dma, 0x44, 0, 0, 1);
    dma.write_words(MASK_ONE, SET);
    assert_eq!(
        dma.to_memory(2, &[1], &memory).bytes,
        0,
        "cascade is masked"
    );
    dma.write_words(CLEAR_MASK, 0);
    dma.write_bytes(COMMAND_STATUS, COMMAND_OFF);
    assert_eq!(dma.to_memory(2, &[1], &memory).bytes, 0, "switched off");
}

type Operation = (u8, u8, u8, usize);

fn step(dma: &mut Dma, &(what, register, value, bytes): &Operation) -> (u8, usize, bool, Vec<u8>) {
    std::thread_local! {
        static MEMORY: GuestMemory = memory();
    }
    let mut buffer = alloc::vec![value; bytes];
    let moved = MEMORY.with(|memory| match what {
        0 => Err(dma.read_bytes(register)),
        1 => Err(dma.read_words(register)),
        2 => Err(dma.read_page(register)),
        3 => Ok(dma.to_memory(register, &buffer, memory)),
        4 => Ok(dma.from_memory(register, &mut buffer, memory)),
        5 => {
            dma.write_bytes(register, value);
            Err(0)
        }
        6 => {
            dma.write_words(register, value);
            Err(0)
        }
        _ => {
            dma.write_page(register, value);
            Err(0)
        }
    });
    match moved {
        Ok(moved) => {
            assert!(moved.bytes <= bytes);
            (0, moved.bytes, moved.terminal, Vec::new())
        }
        Err(value) => (value, 0, false, Vec::new()),
    }
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec((0_u8..8, 0_u8..16, any::<u8>(), 0_usize..100), 0..200),
        cut in 0_usize..200,
    ) {
        twins(Dma::new, &operations, cut, step);
    }
}
