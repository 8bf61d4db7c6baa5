//! A hard disk by programmed I/O.

use super::machine::*;
use super::medium::{Medium, Pace, pattern};
use crate::ide::{Drive, Register};
use alloc::vec;
use alloc::vec::Vec;
use hvm::backend::BlockError;

fn words(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn identify(machine: &mut Machine) -> Vec<u16> {
    machine.command(0xec);
    assert!(machine.take_interrupt());
    words(&machine.read_data(512))
}

#[test]
fn identity_of_a_disk() {
    let mut machine = Machine::new();
    let identity = identify(&mut machine);
    assert_eq!(machine.status(), READY);
    assert!(!machine.take_interrupt(), "none after the last block");
    assert_eq!(identity[0] & 0x8000, 0, "an ATA device");
    assert_eq!((identity[1], identity[3], identity[6]), (1, 16, 63));
    assert_eq!(identity[10].to_be_bytes(), *b"se");
    assert_eq!(identity[27].to_be_bytes(), *b"MO");
    assert_eq!(identity[47] & 0xff, 16);
    assert_eq!(identity[49] & 0x300, 0x300, "LBA and DMA");
    assert_eq!((identity[60], identity[61]), (SECTORS as u16, 0));
    assert_eq!(identity[83] & 0xc400, 0x4400, "48-bit addresses");
    assert_eq!(identity[100..104], [SECTORS as u16, 0, 0, 0]);
    let sum = identity
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(0_u8, u8::wrapping_add);
    assert_eq!(sum, 0);
}

#[test]
fn a_large_disk_shows_what_each_form_reaches() {
    struct Huge;
    impl hvm::backend::Block for Huge {
        fn sectors(&self) -> u64 {
            0x0123_4567_89ab
        }
        fn read_only(&self) -> bool {
            false
        }
        fn transfer(
            &mut self,
            _: hvm::backend::Transfer,
            _: u64,
            _: &[hvm::backend::Segment],
            _: &guest_mem::GuestMemory,
            _: u64,
        ) -> hvm::backend::Submitted {
            unreachable!("nothing is read")
        }
        fn read(&mut self, sector: u64, into: &mut [u8], _: u64) -> hvm::backend::Submitted {
            into.fill(sector as u8);
            hvm::backend::Submitted::Done(Ok(()))
        }
        fn write(&mut self, _: u64, _: &[u8], _: u64) -> hvm::backend::Submitted {
            unreachable!("nothing is written")
        }
        fn flush(&mut self, _: u64) -> hvm::backend::Submitted {
            unreachable!("nothing is flushed")
        }
        fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)> {
            None
        }
    }
    let drive = Drive::disk(alloc::boxed::Box::new(Huge), "");
    let mut machine = Machine::with_drives(
        [Some(drive), None, None, None],
        Medium::new(0),
        Medium::new(0),
    );
    let identity = identify(&mut machine);
    assert_eq!(identity[1], 16383);
    assert_eq!(identity[60..62], [0xffff, 0x0fff]);
    assert_eq!(identity[100..104], [0x89ab, 0x4567, 0x0123, 0]);
    machine.write(Register::Device, 0xe0);
    machine.command(0xf8);
    assert_eq!(machine.address(), 0x0fff_fffe);
    machine.command(0x27);
    assert_eq!(machine.address() & 0x00ff_ffff, 0x67_89aa);
    machine.write(Register::Control, 0x80);
    assert_eq!(machine.address() & 0x00ff_ffff, 0x01_2345);
    machine.set_extent_48(0x0123_4567_89aa, 1);
    machine.command(0x24);
    assert_eq!(machine.read_data(512), [0xaa; 512]);
    machine.set_extent_48(0x0123_4567_89aa, 2);
    machine.command(0x24);
    assert_eq!(machine.error(), 0x10);
}

#[test]
fn sectors_are_read_one_by_one() {
    let mut machine = Machine::new();
    machine.set_extent(5, 3);
    machine.command(0x20);
    for sector in 5..8 {
        assert!(machine.ide.interrupt(PRIMARY));
        assert_eq!(machine.status() & (DRQ | BSY | ERR), DRQ);
        assert!(
            !machine.ide.interrupt(PRIMARY),
            "reading the status ends it"
        );
        let expected = words(&pattern(sector, 512));
        let seen: Vec<u16> = (0..256).map(|_| machine.read_word()).collect();
        assert_eq!(seen, expected);
    }
    assert!(!machine.take_interrupt());
    assert_eq!(machine.status(), READY);
    assert_eq!(machine.address(), 7, "the last sector read");
    assert_eq!(machine.read(Register::Count), 0);
    assert_eq!(machine.read_word(), 0, "no data is left");
}

#[test]
fn bulk_reads_equal_word_reads() {
    let mut machine = Machine::new();
    machine.set_extent(0, 0);
    machine.command(0x20);
    assert_eq!(machine.read_data(256 * 512), pattern(0, 256 * 512));
    assert_eq!(machine.status(), READY);
}

#[test]
fn sectors_are_written_one_by_one() {
    let mut machine = Machine::new();
    machine.set_extent(9, 2);
    machine.command(0x30);
    assert!(!machine.take_interrupt(), "none before the first block");
    assert_eq!(machine.status() & DRQ, DRQ);
    for _ in 0..256 {
        machine.write_word(0xbeef);
    }
    assert!(machine.take_interrupt());
    assert_eq!(machine.status() & DRQ, DRQ);
    machine.write_data(&[0x55; 512]);
    assert!(machine.take_interrupt());
    assert_eq!(machine.status(), READY);
    let mut expected = [0xef, 0xbe].repeat(256);
    expected.extend([0x55; 512]);
    expected.extend(pattern(11, 512));
    assert_eq!(machine.disk.contents(9, 3 * 512), expected);
}

#[test]
fn multiple_sectors_come_in_blocks() {
    let mut machine = Machine::new();
    machine.write(Register::Count, 8);
    machine.command(0xc6);
    assert_eq!(identify(&mut machine)[59], 0x108);
    machine.set_extent(100, 20);
    machine.command(0xc4);
    let mut blocks = Vec::new();
    let mut all = Vec::new();
    while machine.status() & DRQ != 0 {
        let before = all.len();
        // Up to the next block's interrupt, or the end.
        while machine.read(Register::Control) & DRQ != 0 && !machine.ide.interrupt(PRIMARY) {
            all.extend(machine.read_data(512));
        }
        blocks.push((all.len() - before) / 512);
    }
    assert_eq!(blocks, [8, 8, 4]);
    assert_eq!(all, pattern(100, 20 * 512));
    machine.set_extent(200, 10);
    machine.command(0xc5);
    machine.write_data(&[1; 10 * 512]);
    assert_eq!(machine.disk.asked(), ["write", "write"]);
    assert_eq!(machine.disk.contents(200, 10 * 512), [1; 10 * 512]);
}

#[test]
fn multiple_must_be_a_power_of_two_that_fits_or_off() {
    let mut machine = Machine::new();
    for (sectors, error) in [(3, 4), (32, 4), (255, 4), (16, 0), (1, 0), (0, 0)] {
        machine.write(Register::Count, sectors);
        machine.command(0xc6);
        assert_eq!(machine.error(), error, "{sectors}");
    }
    machine.set_extent(0, 1);
    machine.command(0xc4);
    assert_eq!((machine.status() & ERR, machine.error()), (ERR, 4));
    assert_eq!(identify(&mut machine)[59], 0);
}

#[test]
fn extended_commands_take_wide_counts() {
    let mut machine = Machine::new();
    machine.set_extent_48(300, 0x123);
    machine.command(0x24);
    assert_eq!(machine.read_data(0x123 * 512), pattern(300, 0x123 * 512));
    assert_eq!(machine.status(), READY);
    machine.set_extent_48(300, 2);
    machine.command(0x34);
    machine.write_data(&[2; 1024]);
    machine.set_extent_48(302, 2);
    machine.command(0x39);
    machine.write_data(&[3; 1024]);
    machine.set_extent_48(300, 4);
    machine.command(0x29);
    assert_eq!(machine.read_data(2048), [[2; 1024], [3; 1024]].concat());
    // A count of 0 is 65536, more than this disk has.
    machine.set_extent_48(0, 0);
    machine.command(0x24);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x10));
}

#[test]
fn cylinders_heads_and_sectors() {
    let mut machine = Machine::new();
    // Cylinder 0, head 3, sector 5 of 63 a track.
    machine.write(Register::Device, 0xa3);
    machine.write(Register::Count, 2);
    machine.write(Register::Low, 5);
    machine.write(Register::Mid, 0);
    machine.write(Register::High, 0);
    machine.command(0x20);
    assert_eq!(machine.read_data(1024), pattern(3 * 63 + 4, 1024));
    assert_eq!(machine.read(Register::Low), 6);
    assert_eq!(machine.read(Register::Device), 0xa3);
    // 4 heads of 10 sectors: cylinder 2, head 1, sector 1.
    machine.write(Register::Device, 0xa3);
    machine.write(Register::Count, 10);
    machine.command(0x91);
    machine.write(Register::Device, 0xa1);
    machine.write(Register::Count, 1);
    machine.write(Register::Low, 1);
    machine.write(Register::Mid, 2);
    machine.command(0x20);
    assert_eq!(machine.read_data(512), pattern(90, 512));
    let identity = identify(&mut machine);
    assert_eq!(identity[54..57], [25, 4, 10]);
    assert_eq!(identity[57], 1000);
    // Sector 0 and a sector past the track do not exist.
    for sector in [0, 11] {
        machine.write(Register::Count, 1);
        machine.write(Register::Low, sector);
        machine.command(0x20);
        assert_eq!(machine.error(), 0x10);
    }
}

#[test]
fn what_is_not_on_the_medium_is_not_found() {
    let mut machine = Machine::new();
    let last = SECTORS as u32 - 1;
    for opcode in [0x20, 0x21, 0x30, 0x40, 0xc4, 0xc5, 0xc8, 0xca] {
        machine.set_extent(last, 2);
        machine.command(opcode);
        assert!(machine.take_interrupt());
        assert_eq!(machine.status() & (BSY | DRQ | ERR), ERR, "{opcode:#x}");
        assert_eq!(machine.error(), 0x10);
        machine.set_extent(0x0fff_ffff, 1);
        machine.command(opcode);
        assert_eq!(machine.error(), 0x10);
    }
    machine.set_extent_48(0xffff_ffff_ffff, 0xffff);
    machine.command(0x24);
    assert_eq!(machine.error(), 0x10);
    assert!(machine.disk.asked().is_empty());
    machine.set_extent(last, 1);
    machine.command(0x40);
    assert_eq!((machine.status(), machine.address()), (READY, last));
}

#[test]
fn media_that_fail() {
    let mut machine = Machine::new();
    machine.disk.0.lock().unwrap().failure = Some(BlockError::Medium);
    machine.set_extent(7, 2);
    machine.command(0x20);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x40));
    assert_eq!(machine.address(), 7);
    machine.command(0x30);
    machine.write_data(&[0; 512]);
    assert!(machine.take_interrupt());
    assert_eq!(machine.status(), READY | ERR | 0x20, "device fault");
    machine.command(0xe7);
    assert_eq!(machine.status() & ERR, ERR);
    let fixed = Medium::read_only(512 * 8);
    let drive = Some(Drive::disk(fixed.boxed(), ""));
    let mut machine = Machine::with_drives([drive, None, None, None], fixed.clone(), fixed.clone());
    machine.set_extent(0, 1);
    machine.command(0x30);
    machine.write_data(&[0xff; 512]);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 4));
    assert_eq!(fixed.contents(0, 512), pattern(0, 512));
}

#[test]
fn an_odd_number_of_sectors_and_none_at_all() {
    for sectors in [0, 1, 2047] {
        let medium = Medium::new(sectors * 512 + 100);
        let drive = Some(Drive::disk(medium.boxed(), ""));
        let mut machine =
            Machine::with_drives([drive, None, None, None], medium.clone(), medium.clone());
        assert_eq!(identify(&mut machine)[60], sectors as u16);
        machine.set_extent(sectors as u32, 1);
        machine.command(0x20);
        assert_eq!(machine.error(), 0x10);
        if sectors != 0 {
            machine.set_extent(sectors as u32 - 1, 1);
            machine.command(0x20);
            assert_eq!(machine.read_data(512), pattern(sectors - 1, 512));
        }
    }
}

#[test]
fn commands_that_only_answer() {
    let mut machine = Machine::new();
    for opcode in [
        0x10, 0x70, 0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0x94, 0x95, 0x96, 0x97, 0x99, 0xe7, 0xea,
    ] {
        machine.command(opcode);
        assert!(machine.take_interrupt());
        assert_eq!(machine.status(), READY, "{opcode:#x}");
    }
    for opcode in [0xe5, 0x98] {
        machine.write(Register::Count, 0);
        machine.command(opcode);
        assert_eq!(machine.read(Register::Count), 0xff, "active");
    }
    for opcode in [0x00, 0x08, 0x92, 0xa0, 0xa1, 0xb0, 0xf5, 0xff] {
        machine.command(opcode);
        assert!(machine.take_interrupt());
        assert_eq!((machine.status(), machine.error()), (READY | ERR, 4));
    }
    machine.command(0xe7);
    assert_eq!(machine.error(), 0, "a good command clears the error");
}

#[test]
fn features() {
    let mut machine = Machine::new();
    let mut set = |feature, count| {
        machine.write(Register::Error, feature);
        machine.write(Register::Count, count);
        machine.command(0xef);
        let error = machine.error();
        (error, identify(&mut machine))
    };
    let (error, identity) = set(3, 0x42);
    assert_eq!((error, identity[88], identity[63]), (0, 0x43f, 0x07));
    let (error, identity) = set(3, 0x21);
    assert_eq!((error, identity[88], identity[63]), (0, 0x3f, 0x207));
    for mode in [0x0d, 0x23, 0x46, 0x80, 0x02] {
        assert_eq!(set(3, mode).0, 4, "{mode:#x}");
    }
    for (feature, error) in [(0x55, 0), (0xaa, 0), (0x66, 0), (0xcc, 0), (0x05, 4)] {
        assert_eq!(set(feature, 0).0, error);
    }
    let (_, identity) = set(0x82, 0);
    assert_eq!(identity[85] & 0x20, 0);
    let (_, identity) = set(0x02, 0);
    assert_eq!(identity[85] & 0x20, 0x20);
    let (_, identity) = set(0x82, 0);
    assert_eq!(identity[85] & 0x20, 0);
    machine.disk.asked();
    machine.set_extent(0, 1);
    machine.command(0x30);
    machine.write_data(&[0; 512]);
    assert_eq!(machine.status(), READY);
    assert_eq!(machine.disk.asked(), ["write", "flush"], "written through");
}

#[test]
fn a_slow_medium_keeps_the_drive_busy() {
    let mut machine = Machine::new();
    machine.disk.set_pace(Pace::Later);
    machine.set_extent(3, 2);
    machine.command(0x20);
    for sector in 3..5 {
        assert_eq!(machine.status() & (BSY | DRQ), BSY);
        assert_eq!(machine.read_word(), 0);
        machine.command(0xec);
        machine.poll();
        assert_eq!(machine.status() & BSY, BSY);
        assert!(machine.disk.finish());
        machine.poll();
        assert!(machine.take_interrupt());
        assert_eq!(machine.read_data(512), pattern(sector, 512));
    }
    assert_eq!(machine.status(), READY);
    machine.set_extent(3, 1);
    machine.command(0x30);
    machine.write_data(&[9; 512]);
    assert_eq!(machine.status() & BSY, BSY);
    assert!(machine.disk.finish());
    machine.poll();
    assert!(machine.take_interrupt());
    assert_eq!(machine.disk.contents(3, 512), vec![9; 512]);
    machine.command(0xe7);
    assert_eq!(machine.status() & BSY, BSY);
    assert!(machine.disk.finish());
    machine.poll();
    assert_eq!(machine.status(), READY);
}
