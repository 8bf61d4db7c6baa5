//! The display interface as its drivers use it.

use super::Machine;
use super::modes::{MODE_12, TEXT, gray};
use alloc::vec::Vec;
use hvm::Width;
use hvm::display::{Picture, Size, Stamp};

const MIB: u32 = 1 << 20;

impl Machine {
    /// Sets a mode with the writes of Linux' bochs driver: through BAR 2, sizes before enable.
    fn set_bochs_mode(&mut self, width: u16, height: u16, depth: u16) {
        self.read(2, 0x41a, Width::Byte);
        self.write(2, 0x400, Width::Byte, 0x20);
        for (index, value) in [
            (4, 0),
            (3, depth),
            (1, width),
            (2, height),
            (5, 0),
            (6, width),
            (7, height),
            (8, 0),
            (9, 0),
            (4, 0x41),
        ] {
            self.write(2, 0x500 + 2 * index, Width::Word, value.into());
        }
    }

    fn poke_linear(&mut self, offset: u64, bytes: &[u8]) {
        for (offset, byte) in (offset..).zip(bytes) {
            self.write(0, offset, Width::Byte, (*byte).into());
        }
    }
}

#[test]
fn firmware_finds_the_interface() {
    let mut machine = Machine::new(8 * MIB);
    assert_eq!(machine.dispi_read(0), 0xb0c5);
    for id in [0xb0c0, 0xb0c5] {
        machine.dispi(0, id);
        assert_eq!(machine.dispi_read(0), id);
    }
    machine.dispi(0, 0x1234);
    assert_eq!(machine.dispi_read(0), 0xb0c5);
    assert_eq!(machine.dispi_read(10), 128);
    machine.dispi(4, 2);
    assert_eq!(
        [1, 2, 3].map(|index| machine.dispi_read(index)),
        [4096, 4096, 32]
    );
    // Index and data as one dword; data at the aligned port.
    machine.write(9, 0, Width::Dword, 0x0320_0001);
    machine.dispi(4, 0);
    machine.write(9, 0, Width::Word, 1);
    assert_eq!(machine.read(9, 2, Width::Word), 0x320);
}

#[test]
fn a_driver_sets_a_mode() {
    let mut machine = Machine::new(16 * MIB);
    machine.write(0, 5, Width::Byte, 0xee);
    machine.set_bochs_mode(1366, 768, 32);
    let size = Size {
        width: 1366,
        height: 768,
    };
    assert_eq!(machine.adapter.vga().size(), size);
    assert_eq!(machine.read(0, 5, Width::Byte), 0, "cleared");
    machine.poke_linear((1366 * 767 + 1365) * 4, &[0x33, 0x22, 0x11, 0xff]);
    assert_eq!(machine.pixel(1365, 767), 0x11_2233);
    assert_eq!([6, 7].map(|index| machine.dispi_read(index)), [1366, 3070]);
    assert_eq!(machine.read(2, 0x50c, Width::Word), 1366);
    // Page flip: the second screen.
    machine.dispi(9, 768);
    machine.poke_linear(1366 * 768 * 4, &[1, 0, 0, 0]);
    assert_eq!(machine.pixel(0, 0), 1);
    assert_eq!(machine.adapter.vga().text(), None);
    machine.dispi(4, 0);
    machine.set_mode(&TEXT);
    assert!(machine.adapter.vga().text().is_some());
}

#[test]
fn depths() {
    for (depth, bytes, wanted) in [
        (8, &[0x2a][..], gray(0x2a)),
        (15, &[0x1f, 0x7c], 0xff_00ff),
        (16, &[0xe0, 0x07], 0x00_ff00),
        (24, &[3, 2, 1], 0x01_0203),
        (32, &[3, 2, 1, 0], 0x01_0203),
    ] {
        let mut machine = Machine::new(MIB);
        machine.set_mode(&TEXT);
        machine.dispi(4, 0);
        machine.set_bochs_mode(200, 100, depth);
        let pixel = 200 * 50 + 130;
        machine.poke_linear(pixel * bytes.len() as u64, bytes);
        assert_eq!(machine.row(50)[129..132], [0, wanted, 0], "{depth} bits");
    }
}

#[test]
fn eight_bit_dac() {
    let mut machine = Machine::new(MIB);
    machine.set_bochs_mode(64, 64, 8);
    machine.dispi(4, 0x61);
    machine.set_color(1, [0x80, 0x41, 0xff]);
    machine.poke_linear(0, &[1]);
    assert_eq!(machine.pixel(0, 0), 0x80_41ff);
    machine.dispi(4, 0x41);
    assert_eq!(machine.pixel(0, 0), 0x00_04ff);
}

#[test]
fn the_window_moves_by_banks() {
    let mut machine = Machine::new(MIB);
    machine.set_bochs_mode(640, 480, 8);
    machine.dispi(5, 3);
    machine.poke(0xa_0010, &[7, 8, 9]);
    assert_eq!(machine.read(0, 0x3_0010, Width::Dword), 0x09_0807);
    assert_eq!((machine.peek(0xa_0011), machine.peek(0xb_8000)), (8, 0xff));
    machine.dispi(5, 16 + 3);
    assert_eq!(
        machine.peek(0xa_0011),
        8,
        "as many banks as there is memory"
    );
}

#[test]
fn sixteen_colors_in_maps() {
    let mut machine = Machine::new(MIB);
    machine.set_mode(&MODE_12);
    machine.set_bochs_mode(800, 600, 4);
    machine.outw(0x3c4, 2, 4);
    machine.poke(0xa_0000 + 100 * 599 + 99, &[1]);
    assert_eq!(machine.row(599)[798..], [0, gray(4)]);
    machine.dispi(6, 816);
    machine.dispi(8, 9);
    machine.poke(0xa_0000 + 1, &[0x40]);
    assert_eq!(machine.row(0)[..2], [gray(4), 0]);
    let (stamp, _) = machine.update(Stamp::NEVER);
    machine.poke(0xa_0000 + 102 * 10 + 50, &[0xff]);
    let (_, changed) = machine.update(stamp);
    assert_eq!(changed.len(), 1);
    assert!(changed[0].width < 800 && changed[0].y <= 10);
    assert!(changed[0].x <= 391 && changed[0].x + changed[0].width >= 399);
}

#[test]
fn contents_stay_if_asked_for() {
    let mut machine = Machine::new(MIB);
    machine.poke_linear(100, &[5]);
    machine.dispi(4, 0xc1);
    assert_eq!(machine.read(0, 100, Width::Byte), 5);
    machine.dispi(4, 0);
    machine.dispi(4, 0x41);
    assert_eq!(machine.read(0, 100, Width::Byte), 0);
}

#[test]
fn what_does_not_fit_is_cut() {
    let mut machine = Machine::new(MIB);
    machine.set_bochs_mode(1024, 768, 32);
    assert_eq!([1, 2].map(|index| machine.dispi_read(index)), [1024, 256]);
    machine.dispi(9, 1);
    assert_eq!(machine.dispi_read(9), 0);
    machine.dispi(4, 0);
    machine.dispi(1, 0xffff);
    machine.dispi(2, 0);
    machine.dispi(4, 1);
    let size = machine.adapter.vga().size();
    assert_eq!((size.width, size.height), (4096, 1));
    machine.dispi(3, 7);
    assert_eq!(machine.dispi_read(3), 32, "there is no such depth");
}

#[test]
fn the_register_page() {
    let mut machine = Machine::new(MIB);
    let head: Vec<u64> = (0..8).map(|at| machine.read(2, at, Width::Byte)).collect();
    assert_eq!(head, [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    assert_eq!(machine.read(2, 0x600, Width::Dword), 8);
    assert_eq!(machine.read(2, 0x604, Width::Dword), 0x1e1e_1e1e);
    machine.write(2, 0x402, Width::Byte, 0x67);
    assert_eq!(machine.inb(0x3cc), 0x67);
    machine.write(2, 0x404, Width::Word, 0x0f02);
    assert_eq!(
        (machine.read(2, 0x405, Width::Byte), machine.inb(0x3c5)),
        (0xf, 0xf)
    );
    assert_eq!(machine.read(2, 0x500, Width::Dword), 0x0280_b0c5);
    assert_eq!(machine.read(2, 0xff8, Width::Qword), 0);
}
