//! Selection, reset and the interrupt line.

use super::machine::*;
use super::medium::{Medium, Pace, pattern};
use crate::ide::{Drive, Position, Register};
use hvm::Width;
use hvm::device::Lifecycle;
use hvm::pci::Function;

fn signature(machine: &mut Machine) -> [u8; 4] {
    [
        Register::Count,
        Register::Low,
        Register::Mid,
        Register::High,
    ]
    .map(|it| machine.read(it))
}

/// Two disks on the primary channel.
fn pair() -> (Machine, Medium) {
    let first = Medium::new(SECTORS * 512);
    let second = Medium::new(64 * 512);
    let drives = [
        Some(Drive::disk(first.boxed(), "")),
        Some(Drive::disk(second.boxed(), "")),
        None,
        None,
    ];
    (Machine::with_drives(drives, first.clone(), first), second)
}

#[test]
fn drives_sign_after_reset() {
    let mut machine = Machine::new();
    assert_eq!(signature(&mut machine), [1, 1, 0, 0]);
    assert_eq!((machine.status(), machine.error()), (READY, 1));
    machine.channel = SECONDARY;
    assert_eq!(signature(&mut machine), [1, 1, 0x14, 0xeb]);
    assert_eq!((machine.status(), machine.error()), (0, 1), "not yet ready");
    machine.set_extent(9, 9);
    machine.write(Register::Control, 4);
    assert_eq!(machine.status(), BSY);
    machine.write(Register::Count, 3);
    machine.command(0xa1);
    machine.write(Register::Control, 0);
    assert_eq!(signature(&mut machine), [1, 1, 0x14, 0xeb]);
    assert_eq!(machine.read(Register::Device), 0);
    assert_eq!(machine.status(), 0);
    machine.command(0xa1);
    assert_eq!(machine.status(), READY | DRQ);
}

#[test]
fn software_that_asks_a_packet_device_for_a_disk() {
    let mut machine = Machine::with_disc();
    for opcode in [0xec, 0x20] {
        machine.set_extent(1000, 7);
        machine.command(opcode);
        assert_eq!((machine.status(), machine.error()), (READY | ERR, 4));
        assert_eq!(signature(&mut machine), [1, 1, 0x14, 0xeb]);
    }
}

#[test]
fn the_diagnostic_reaches_both_drives() {
    let (mut machine, _) = pair();
    machine.write(Register::Device, 0x10);
    machine.command(0x90);
    assert!(machine.take_interrupt());
    assert_eq!((machine.status(), machine.error()), (READY, 1));
    assert_eq!(signature(&mut machine), [1, 1, 0, 0]);
    assert_eq!(machine.read(Register::Device) & 0x10, 0, "device 0 answers");
    machine.write(Register::Device, 0x10);
    assert_eq!((machine.status(), machine.error()), (READY, 1));
}

#[test]
fn nobody_on_the_cable() {
    let medium = Medium::new(0);
    let drives = [Some(Drive::disk(medium.boxed(), "")), None, None, None];
    let mut machine = Machine::with_drives(drives, medium.clone(), medium);
    machine.channel = SECONDARY;
    machine.write(Register::Count, 0x55);
    machine.write(Register::Low, 0xaa);
    machine.command(0xec);
    assert_eq!((machine.status(), machine.read(Register::Count)), (0, 0));
    assert!(!machine.take_interrupt());
    assert_eq!(machine.read_word(), 0);
}

#[test]
fn device_0_answers_for_an_absent_device_1() {
    let mut machine = Machine::new();
    machine.write(Register::Device, 0x10);
    machine.write(Register::Count, 0x55);
    machine.write(Register::Low, 0xaa);
    assert_eq!(machine.status(), 0);
    assert_eq!(machine.read(Register::Control), 0);
    assert_eq!(machine.read(Register::Count), 0x55);
    assert_eq!(machine.read(Register::Low), 0xaa);
    machine.command(0xec);
    assert_eq!(machine.status(), 0, "commands to nobody do nothing");
    assert!(!machine.take_interrupt());
    machine.write(Register::Device, 0);
    assert_eq!(machine.status(), READY);
}

#[test]
fn the_selected_drive_answers() {
    let (mut machine, second) = pair();
    second.0.lock().unwrap().bytes.fill(0x77);
    machine.set_extent(0, 1);
    machine.write(Register::Device, 0x50);
    machine.command(0x20);
    assert_eq!(machine.status() & DRQ, DRQ);
    machine.write(Register::Device, 0x40);
    assert_eq!(
        machine.read_data(512),
        [0x77; 512],
        "selection waits for DRQ"
    );
    machine.write(Register::Device, 0x40);
    machine.write(Register::Count, 1);
    machine.command(0x20);
    assert_eq!(machine.read_data(512), pattern(0, 512));
    // An interrupt of the drive that is not selected waits on it.
    machine.command(0xe7);
    assert!(machine.ide.interrupt(PRIMARY));
    machine.write(Register::Device, 0x50);
    assert!(!machine.ide.interrupt(PRIMARY));
    machine.write(Register::Device, 0x40);
    assert!(machine.take_interrupt());
}

#[test]
fn interrupts_can_be_turned_off() {
    let mut machine = Machine::new();
    machine.write(Register::Control, 2);
    machine.command(0xe7);
    assert!(!machine.ide.interrupt(PRIMARY));
    assert_eq!(machine.read(Register::Control), READY, "alternate status");
    machine.write(Register::Control, 0);
    assert!(machine.ide.interrupt(PRIMARY), "still pending");
    assert_eq!(machine.read(Register::Control), READY);
    assert!(machine.ide.interrupt(PRIMARY), "which reads leave alone");
    machine.command(0xe0);
    machine.status();
    assert!(!machine.ide.interrupt(PRIMARY));
}

#[test]
fn the_task_file_is_two_deep() {
    let mut machine = Machine::new();
    machine.write(Register::Low, 1);
    machine.write(Register::Low, 2);
    machine.write(Register::Control, 0x80);
    assert_eq!(machine.read(Register::Low), 1);
    machine.write(Register::Mid, 0);
    assert_eq!(machine.read(Register::Low), 2, "a write ends it");
}

#[test]
fn a_reset_drops_the_command() {
    let mut machine = Machine::new();
    machine.set_extent(4, 2);
    machine.command(0x30);
    machine.write_data(&[1; 100]);
    machine.write(Register::Control, 4);
    machine.write(Register::Control, 0);
    assert_eq!(machine.status(), READY);
    machine.write_data(&[1; 1000]);
    assert_eq!(machine.disk.contents(4, 1024), pattern(4, 1024));
    assert!(!machine.take_interrupt());
}

#[test]
fn a_reset_waits_for_the_medium() {
    let mut machine = Machine::new();
    machine.disk.set_pace(Pace::Later);
    machine.set_extent(4, 1);
    machine.command(0x20);
    machine.write(Register::Control, 4);
    machine.write(Register::Control, 0);
    assert_eq!(machine.status() & BSY, BSY, "the request is still out");
    machine.poll();
    assert_eq!(machine.status() & BSY, BSY);
    assert!(machine.disk.finish());
    machine.poll();
    assert_eq!(machine.status(), READY);
    assert!(!machine.take_interrupt());
}

#[test]
fn device_reset_reaches_a_busy_packet_device() {
    let mut machine = Machine::with_disc();
    machine.packet(0, &[0x25]);
    machine.calm();
    machine.packet(2048, &[0x28, 0, 0, 0, 0, 5, 0, 0, 9]);
    assert_eq!(machine.status() & DRQ, DRQ);
    machine.command(0xec);
    assert_eq!(machine.status() & DRQ, DRQ, "other commands are not heard");
    machine.command(0x08);
    assert_eq!(machine.status(), 0);
    assert_eq!(signature(&mut machine), [1, 1, 0x14, 0xeb]);
    assert!(!machine.take_interrupt());
    assert_eq!(machine.ask(&[0]), Ok(alloc::vec![]), "no unit attention");
}

#[test]
fn data_register_widths() {
    let mut machine = Machine::new();
    machine.set_extent(0, 1);
    machine.command(0x20);
    let mut read =
        |width| machine.with(|ide, context| ide.read(PRIMARY, Register::Data, width, context));
    assert_eq!(read(Width::Dword), 0x0302_0100);
    assert_eq!(read(Width::Word), 0x0504);
    assert_eq!(read(Width::Byte), 0x06, "a byte takes a word off");
    assert_eq!(read(Width::Word), 0x0908);
}

#[test]
fn ports_are_decoded_when_both_enables_say_so() {
    let mut machine = Machine::new();
    let mut config = |offset, width, value| {
        machine.with(|ide, context| ide.config_write(offset, width, value, context));
        (
            machine.read(Register::Status),
            machine.read_word(),
            machine.read(Register::Low),
        )
    };
    let decoded = (READY, 0, 1);
    let silent = (0xff, 0xffff, 0xff);
    assert_eq!(config(0x41, Width::Byte, 0), silent);
    assert_eq!(config(0x41, Width::Byte, 0x80), decoded);
    assert_eq!(config(0x04, Width::Word, 4), silent);
    assert_eq!(config(0x04, Width::Word, 5), decoded);
}

#[test]
fn configuration_space() {
    let mut machine = Machine::new();
    let ide = &machine.ide;
    assert_eq!(ide.config_read(0, Width::Dword), 0x7010_8086);
    assert_eq!(ide.config_read(8, Width::Dword), 0x0101_8000);
    assert_eq!(ide.config_read(4, Width::Dword), 0x0280_0005);
    assert_eq!(ide.config_read(0x40, Width::Dword), 0x8000_8000);
    assert!(!ide.interrupt_line());
    machine.with(|ide, context| {
        ide.config_write(0x20, Width::Dword, u32::MAX, context);
        assert_eq!(ide.config_read(0x20, Width::Dword), 0xffff_fff1);
        ide.config_write(0x3c, Width::Dword, u32::MAX, context);
        assert_eq!(ide.config_read(0x3c, Width::Dword), 0);
    });
}

#[test]
fn hardware_reset_brings_defaults_back() {
    let mut machine = Machine::with_disc();
    machine.calm();
    machine.channel = PRIMARY;
    machine.write(Register::Count, 0);
    machine.command(0xc6);
    machine.ide.reset();
    machine.set_extent(1, 1);
    machine.command(0xc4);
    assert_eq!(machine.status() & ERR, 0, "multiple mode is on again");
    machine.channel = SECONDARY;
    assert_eq!(machine.ask(&[0]), Err([6, 0x29, 0]));
}

#[test]
fn a_paused_function_starts_nothing() {
    let mut machine = Machine::new();
    machine.ide.pause();
    machine.set_extent(1, 1);
    machine.command(0x20);
    machine.poll();
    assert_eq!(machine.status() & (BSY | DRQ), BSY);
    machine.ide.resume();
    machine.poll();
    assert_eq!(machine.read_data(512), pattern(1, 512));
}

#[test]
fn another_machines_state_is_refused() {
    let machine = Machine::new();
    let saved = machine.ide.save();
    let other = Medium::new(512);
    let mut no_drive = Machine::with_drives(
        [Some(Drive::disk(other.boxed(), "")), None, None, None],
        other.clone(),
        other.clone(),
    );
    let before = no_drive.ide.save();
    assert!(no_drive.ide.restore(&saved).is_err());
    assert_eq!(no_drive.ide.save(), before);
    let mut twin = Machine::new();
    twin.ide.change_medium(SECONDARY, Position::First, None);
    assert!(twin.ide.restore(&saved).is_err(), "another medium");
}
