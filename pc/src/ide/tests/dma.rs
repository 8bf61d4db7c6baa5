//! The bus master with disks.

use super::machine::*;
use super::medium::{Medium, Pace, pattern};
use crate::ide::Register;
use guest_mem::Gpa;
use hvm::Width;
use hvm::backend::BlockError;
use hvm::device::Lifecycle;
use hvm::pci::Function;

/// Status bits of the bus master.
const ACTIVE: u8 = 1;
const ERROR: u8 = 2;
const INTERRUPT: u8 = 4;

impl Machine {
    fn master_status(&mut self) -> u8 {
        self.master_read(2) & 7
    }

    /// Memory from 1000h on, as the pieces of a transfer would leave it.
    fn set_memory(&mut self, gpa: u64, bytes: &[u8]) {
        self.memory.write(Gpa(gpa), bytes).unwrap();
    }
}

#[test]
fn scattered_sectors_are_one_request() {
    let mut machine = Machine::new();
    machine.set_table(&[(0x1000, 700), (0x5000, 24), (0x3000, 300), (0x8000, 512)]);
    machine.set_extent(20, 3);
    machine.command(0xc8);
    assert_eq!(machine.status() & (DRQ | BSY), DRQ);
    assert!(!machine.take_interrupt());
    machine.start_to_memory();
    assert_eq!(machine.master_status(), INTERRUPT);
    assert!(machine.take_interrupt());
    machine.stop();
    assert_eq!(machine.status(), READY);
    let read = [
        machine.memory(0x1000, 700),
        machine.memory(0x5000, 24),
        machine.memory(0x3000, 300),
        machine.memory(0x8000, 512),
    ];
    assert_eq!(read.concat(), pattern(20, 3 * 512));
    assert_eq!(machine.disk.asked(), ["transfer"]);
    assert_eq!(machine.address(), 22);
    machine.master_write(2, Width::Byte, 0x64);
    assert_eq!(machine.master_read(2), 0x60, "1 clears the interrupt");
}

#[test]
fn sectors_are_gathered_from_memory() {
    let mut machine = Machine::new();
    machine.set_memory(0x1000, &[5; 512]);
    machine.set_memory(0x4000, &[6; 512]);
    machine.set_table(&[(0x4000, 512), (0x1000, 512)]);
    machine.set_extent_48(50, 2);
    machine.start_from_memory();
    assert_eq!(machine.master_status(), ACTIVE, "it waits for the drive");
    machine.command(0x35);
    assert_eq!(machine.master_status(), INTERRUPT);
    assert_eq!(machine.status(), READY);
    let expected = [[6; 512], [5; 512]].concat();
    assert_eq!(machine.disk.contents(50, 1024), expected);
    assert_eq!(machine.disk.contents(52, 512), pattern(52, 512));
}

#[test]
fn a_full_count_is_64_kib() {
    let mut machine = Machine::new();
    machine.set_table(&[(0x1_0000, 0), (0x2_0000, 0)]);
    machine.set_extent(0, 0);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), INTERRUPT);
    assert_eq!(machine.memory(0x1_0000, 0x2_0000), pattern(0, 0x2_0000));
    assert_eq!(machine.disk.asked(), ["transfer"]);
}

#[test]
fn a_table_longer_than_the_transfer_stays_active() {
    let mut machine = Machine::new();
    machine.set_table(&[(0x1000, 1024)]);
    machine.set_extent(1, 1);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), INTERRUPT | ACTIVE);
    assert_eq!(machine.memory(0x1000, 512), pattern(1, 512));
    assert_eq!(machine.memory(0x1200, 512), [0; 512]);
    machine.stop();
    assert_eq!(machine.master_status(), INTERRUPT);
}

#[test]
fn a_table_shorter_than_the_transfer_ends_without_interrupt() {
    let mut machine = Machine::new();
    machine.set_table(&[(0x1000, 512), (0x2000, 500)]);
    machine.set_extent(1, 3);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), 0);
    assert_eq!(machine.status() & DRQ, DRQ, "the drive waits");
    assert!(!machine.take_interrupt());
    assert_eq!(machine.memory(0x1000, 512), pattern(1, 512));
    assert_eq!(machine.memory(0x2000, 500), [0; 500], "no part of a sector");
    machine.stop();
    machine.set_table(&[(0x3000, 1024)]);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), INTERRUPT);
    assert_eq!(machine.memory(0x3000, 1024), pattern(2, 1024));
}

#[test]
fn an_endless_table_ends_with_its_64_kib() {
    let mut machine = Machine::new();
    // Descriptors of 2 bytes each, up to the end of the piece that a table may span, and none is the last.
    for at in (TABLE..TABLE + 0x1_0000).step_by(8) {
        machine
            .memory
            .store(Gpa(at), &(0x1000_u64 | 2 << 32))
            .unwrap();
    }
    machine.master_write(4, Width::Dword, TABLE as u32);
    machine.set_extent_48(0, SECTORS as u16);
    machine.command(0x25);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), 0);
    // 8192 descriptors are 16 KiB.
    machine.write(Register::Control, 4);
    machine.write(Register::Control, 0);
    machine.disk.asked();
    machine.master_write(4, Width::Dword, TABLE as u32 + 0xff00);
    machine.set_extent(0, 1);
    machine.command(0xc8);
    machine.stop();
    machine.start_to_memory();
    assert_eq!(machine.master_status(), 0);
    assert!(machine.disk.asked().is_empty(), "64 bytes are no sector");
}

#[test]
fn memory_that_is_not_there() {
    let mut machine = Machine::new();
    for table in [
        [(0x1000, 512), (0xf000_0000, 512)],
        [(0x7_fff0, 512), (0, 512)],
    ] {
        machine.set_table(&table);
        machine.set_extent(1, 2);
        machine.command(0xc8);
        machine.start_to_memory();
        assert_eq!(machine.master_status(), ERROR);
        assert!(!machine.take_interrupt());
        assert_eq!(machine.status() & DRQ, DRQ);
        machine.stop();
        machine.write(Register::Control, 4);
        machine.write(Register::Control, 0);
    }
    machine.master_write(4, Width::Dword, 0xffff_fff8);
    machine.set_extent(1, 1);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), ERROR, "the table itself");
    machine.master_write(2, Width::Byte, u32::from(ERROR));
    assert_eq!(machine.master_status(), 0);
}

#[test]
fn a_failing_medium_ends_with_an_interrupt() {
    let mut machine = Machine::new();
    machine.disk.0.lock().unwrap().failure = Some(BlockError::Medium);
    machine.set_table(&[(0x1000, 1024)]);
    machine.set_extent(8, 2);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), INTERRUPT | ACTIVE);
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 0x40));
    assert_eq!(machine.address(), 8);
}

#[test]
fn the_wrong_direction_moves_nothing() {
    let mut machine = Machine::new();
    machine.set_table(&[(0x1000, 512)]);
    machine.set_extent(1, 1);
    machine.command(0xc8);
    machine.start_from_memory();
    assert_eq!(machine.master_status(), ACTIVE);
    assert!(machine.disk.asked().is_empty());
    machine.stop();
    machine.start_to_memory();
    assert_eq!(machine.master_status(), INTERRUPT);
}

#[test]
fn a_function_that_may_not_master_the_bus_waits() {
    let mut machine = Machine::new();
    machine.with(|ide, context| ide.config_write(4, Width::Word, 1, context));
    machine.set_table(&[(0x1000, 512)]);
    machine.set_extent(1, 1);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), ACTIVE);
    machine.with(|ide, context| ide.config_write(4, Width::Word, 5, context));
    assert_eq!(machine.master_status(), INTERRUPT);
    assert_eq!(machine.memory(0x1000, 512), pattern(1, 512));
}

#[test]
fn a_slow_medium_interrupts_when_it_is_done() {
    let mut machine = Machine::new();
    machine.disk.set_pace(Pace::Later);
    machine.set_table(&[(0x1000, 512), (0x3000, 512)]);
    machine.set_extent(1, 2);
    machine.command(0xc8);
    machine.start_to_memory();
    assert_eq!(machine.master_status(), ACTIVE);
    assert_eq!(machine.status() & BSY, BSY);
    machine.poll();
    assert_eq!(machine.master_status(), ACTIVE);
    assert!(machine.disk.finish());
    machine.poll();
    assert_eq!(machine.master_status(), INTERRUPT);
    assert_eq!(machine.status(), READY);
    assert_eq!(machine.memory(0x3000, 512), pattern(2, 512));
}

#[test]
fn writing_through_ends_with_a_flush() {
    let mut machine = Machine::new();
    machine.write(Register::Error, 0x82);
    machine.command(0xef);
    machine.disk.asked();
    machine.disk.set_pace(Pace::Later);
    machine.set_table(&[(0x1000, 512)]);
    machine.set_extent(1, 1);
    machine.command(0xca);
    machine.start_from_memory();
    for name in ["transfer", "flush"] {
        assert_eq!(machine.status() & BSY, BSY);
        assert_eq!(machine.disk.asked(), [name]);
        assert!(machine.disk.finish());
        machine.poll();
    }
    assert_eq!(machine.master_status(), INTERRUPT);
    assert_eq!(machine.status(), READY);
}

#[test]
fn a_transfer_under_way_is_made_again_after_restore() {
    let mut machine = Machine::new();
    machine.disk.set_pace(Pace::Later);
    machine.set_memory(0x1000, &[7; 1024]);
    machine.set_table(&[(0x1000, 1024)]);
    machine.set_extent(1, 2);
    machine.command(0xca);
    machine.start_from_memory();
    machine.ide.pause();
    let saved = machine.ide.save();
    let memory = machine.memory(0, RAM_BYTES as usize);
    let mut twin = Machine::new();
    twin.set_memory(0, &memory);
    twin.ide.pause();
    twin.ide.restore(&saved).unwrap();
    assert_eq!(twin.ide.save(), saved);
    twin.ide.resume();
    assert_eq!(twin.master_status(), ACTIVE);
    twin.poll();
    assert_eq!(twin.master_status(), INTERRUPT);
    assert_eq!(twin.status(), READY);
    assert_eq!(twin.disk.contents(1, 1024), [7; 1024]);
    assert_eq!(twin.disk.asked(), ["transfer"]);
}

#[test]
fn a_write_to_a_fixed_medium_is_refused() {
    let fixed = Medium::read_only(4096);
    let drive = crate::ide::Drive::disk(fixed.boxed(), "");
    let mut machine = Machine::with_drives(
        [Some(drive), None, None, None],
        fixed.clone(),
        fixed.clone(),
    );
    machine.set_table(&[(0x1000, 512)]);
    machine.set_extent(1, 1);
    machine.command(0xca);
    machine.start_from_memory();
    assert_eq!((machine.status(), machine.error()), (READY | ERR, 4));
    assert_eq!(fixed.contents(1, 512), pattern(1, 512));
}

#[test]
fn registers_read_back() {
    let mut machine = Machine::new();
    machine.master_write(4, Width::Dword, 0x1234_567b);
    assert_eq!(machine.master_read(4), 0x78);
    assert_eq!(machine.master_read(7), 0x12);
    machine.master_write(5, Width::Byte, 0xff);
    assert_eq!(machine.master_read(5), 0xff);
    machine.master_write(0, Width::Byte, 0xf8);
    assert_eq!(machine.master_read(0), 8);
    machine.master_write(2, Width::Byte, 0xff);
    assert_eq!(machine.master_read(2), 0x60);
    assert_eq!((machine.master_read(1), machine.master_read(3)), (0, 0));
    machine.with(|ide, context| {
        assert_eq!(
            ide.bar_read(4, 12, Width::Qword, context),
            0xffff_ffff_0000_0000
        );
        ide.bar_write(4, u64::MAX, Width::Byte, 1, context);
    });
}
