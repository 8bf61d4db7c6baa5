//! The IDE function on the board: its ports, its place on the bus and its interrupts.

use super::*;
use crate::ide::Drive;
use crate::ide::tests::medium::{Medium, pattern};

fn with_drives() -> Machine {
    let mut machine = Machine::new();
    let disk = Medium::new(64 * 512);
    let disc = Medium::read_only(64 * 512);
    machine.board = Board::new(BoardConfig {
        epoch_seconds: 0,
        com1: None,
        com2: None,
        ide: Some([
            Some(Drive::disk(disk.boxed(), "")),
            None,
            Some(Drive::cdrom(Some(disc.boxed()), "")),
            None,
        ]),
    });
    machine
}

#[test]
fn ide_without_drives_is_not_busy() {
    let mut machine = Machine::new();
    machine.board = Board::new(BoardConfig {
        epoch_seconds: 0,
        com1: None,
        com2: None,
        ide: Some([const { None }; 4]),
    });
    machine.outl(0xcf8, 0x8000_0900);
    assert_eq!(machine.inl(0xcfc), 0x7010_8086);
    // Firmware that waits for drives waits for BSY to clear.
    for status in [0x1f7, 0x3f6, 0x177, 0x376] {
        assert_eq!(machine.inb(status), 0, "{status:x}");
    }
}

/// Commands the first drive of the channel at `base` to read a sector.
fn read_sector(machine: &mut Machine, base: u16, sector: u8) {
    for (register, value) in [(6, 0xe0), (2, 1), (3, sector), (4, 0), (5, 0), (7, 0x20)] {
        machine.outb(base + register, value);
    }
}

#[test]
fn a_board_without_ide_answers_nothing_there() {
    let mut machine = Machine::new();
    assert_eq!((machine.inb(0x1f7), machine.inb(0x3f6)), (0xff, 0xff));
    machine.outl(0xcf8, 0x8000_0900);
    assert_eq!(machine.inl(0xcfc), u32::MAX);
    assert!(machine.board.ide_mut().is_none());
}

#[test]
fn programmed_io_and_irq_14() {
    let mut machine = with_drives();
    machine.init_pics(0xfb, 0xbf);
    machine.outl(0xcf8, 0x8000_0900);
    assert_eq!(machine.inl(0xcfc), 0x7010_8086);
    assert_eq!((machine.inb(0x1f7), machine.inb(0x3f6)), (0x50, 0x50));
    assert_eq!((machine.inb(0x174), machine.inb(0x175)), (0x14, 0xeb));
    assert_eq!(machine.inb(0x376), 0);
    read_sector(&mut machine, 0x1f0, 9);
    assert!(machine.board.pic_interrupt());
    assert_eq!(machine.board.pic_acknowledge(), 0x2e);
    assert_eq!(machine.inb(0x1f7), 0x58);
    let expected = pattern(9, 512);
    assert_eq!(machine.inl(0x1f0).to_le_bytes(), expected[..4]);
    let mut rest = [0; 508];
    machine.with(|board, context| {
        board.port_read_string(0x1f0, Width::Word, &mut rest, context);
    });
    assert_eq!(rest, expected[4..]);
    assert_eq!(machine.inb(0x1f7), 0x50);
    // A wide access to byte registers is two of them.
    machine.with(|board, context| board.port_write(0x1f2, Width::Word, 0x2211, context));
    assert_eq!((machine.inb(0x1f2), machine.inb(0x1f3)), (0x11, 0x22));
    assert_eq!(
        machine.with(|board, context| board.port_read(0x1f2, Width::Word, context)),
        0x2211
    );
    for (register, value) in [(2, 1), (3, 4), (7, 0x30)] {
        machine.outb(0x1f0 + register, value);
    }
    machine.with(|board, context| {
        board.port_write_string(0x1f0, Width::Dword, &[0x77; 512], context);
    });
    read_sector(&mut machine, 0x1f0, 4);
    assert_eq!(machine.inl(0x1f0), 0x7777_7777);
}

#[test]
fn a_command_makes_a_new_edge_of_an_interrupt_that_nobody_took() {
    let mut machine = with_drives();
    machine.init_pics(0xfb, 0xbf);
    machine.outb(0x1f7, 0xe7);
    assert_eq!(machine.board.pic_acknowledge(), 0x2e);
    machine.outb(0xa0, 0x20);
    machine.outb(0x20, 0x20);
    assert!(!machine.board.pic_interrupt());
    assert_eq!(machine.inb(0x3f6), 0x50, "the alternate status leaves it");
    machine.outb(0x1f7, 0xe7);
    assert_eq!(machine.board.pic_acknowledge(), 0x2e);
}

#[test]
fn the_secondary_channel_has_irq_15() {
    let mut machine = with_drives();
    machine.init_pics(0xfb, 0x7f);
    machine.outb(0x177, 0xa1);
    assert_eq!(machine.board.pic_acknowledge(), 0x2f);
    machine.unmask_pin(15, 0);
    machine.outb(0x177, 0);
    machine.inb(0x177);
    machine.outb(0x177, 0x90);
    let mut identity = [0; 512];
    machine.with(|board, context| {
        board.port_read_string(0x170, Width::Word, &mut identity, context);
    });
    machine.outb(0x177, 0x90);
    assert_eq!(machine.sent.take_vectors(), [0x4f]);
}

#[test]
fn the_bus_master_is_where_its_bar_says() {
    let mut machine = with_drives();
    machine.init_pics(0xfb, 0xbf);
    machine.outl(0xcf8, 0x8000_0920);
    machine.outl(0xcfc, 0xc040);
    machine.outl(0xc044, 0x800);
    assert_eq!(machine.inl(0xc044), 0x800);
    assert_eq!(machine.inl(0xc04c), 0);
    machine.with(|_, context| {
        let descriptor = 0x400_u64 | 512 << 32 | 1 << 63;
        context.memory.store(Gpa(0x800), &descriptor).unwrap();
    });
    for (register, value) in [(6, 0xe0), (2, 1), (3, 7), (4, 0), (5, 0), (7, 0xc8)] {
        machine.outb(0x1f0 + register, value);
    }
    assert!(!machine.board.pic_interrupt());
    machine.outb(0xc040, 9);
    assert_eq!(machine.board.pic_acknowledge(), 0x2e);
    assert_eq!(machine.inb(0xc042), 4);
    let mut read = [0; 512];
    machine.with(|_, context| context.memory.read(Gpa(0x400), &mut read).unwrap());
    assert_eq!(read[..], pattern(7, 512));
}

#[test]
fn string_accesses_to_other_ports_are_single_ones() {
    let mut machine = with_drives();
    let mut seen = [0; 6];
    machine.with(|board, context| {
        board.port_write_string(0x1f2, Width::Byte, &[1, 2, 3], context);
        board.port_read_string(0x1f2, Width::Byte, &mut seen[..3], context);
        board.port_read_string(0x1234, Width::Dword, &mut seen, context);
    });
    assert_eq!(seen, [0xff; 6]);
    assert_eq!(machine.inb(0x1f2), 3);
}

#[test]
fn drives_are_saved_with_the_board() {
    let mut machine = with_drives();
    read_sector(&mut machine, 0x1f0, 9);
    machine.outb(0x1f2, 0);
    let mut twin = with_drives();
    twin.board.restore(&machine.board.save()).unwrap();
    assert_eq!(twin.board.save(), machine.board.save());
    assert_eq!(twin.inl(0x1f0).to_le_bytes(), pattern(9, 4)[..]);
    twin.board.reset();
    assert_eq!(twin.inb(0x1f7), 0x50);
    assert!(Machine::new().board.restore(&machine.board.save()).is_err());
}
