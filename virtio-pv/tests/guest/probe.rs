//! Identity, capabilities, and the rules of negotiation.

use crate::driver::{Buffer, Legacy, Modern, VERSION_1};
use crate::machine::Machine;
use crate::medium::{SECTORS, disk};
use guest_mem::Gpa;
use hvm::Width;
use hvm::pci::{Function, Window};
use hvm::pci_config::offset;
use virtio_pv::pci::TransportMode;
use virtio_pv::ram::Access;

fn machine(mode: TransportMode) -> Machine {
    Machine::new(disk(Access::ReadWrite), mode)
}

/// A read of sector 0 to 8000h, header at 7000h, status at 7800h.
pub const READ: [Buffer; 3] = [
    Buffer::In(0x7000, 16),
    Buffer::Out(0x8000, 512),
    Buffer::Out(0x7800, 1),
];

#[test]
fn transitional_and_modern_functions_identify_themselves() {
    let machine_ = machine(TransportMode::Transitional);
    assert_eq!(
        machine_.config_read(offset::VENDOR, Width::Dword),
        0x1001_1af4
    );
    assert_eq!(machine_.config_read(offset::REVISION, Width::Byte), 0);
    assert_eq!(machine_.config_read(offset::SUBSYSTEM, Width::Word), 2);
    let machine = machine(TransportMode::Modern);
    assert_eq!(
        machine.config_read(offset::VENDOR, Width::Dword),
        0x1042_1af4
    );
    assert_eq!(machine.config_read(offset::REVISION, Width::Byte), 1);
    assert!(machine.config_read(offset::SUBSYSTEM, Width::Word) >= 0x40);
    assert_eq!(machine.config_read(offset::INTERRUPT_PIN, Width::Byte), 1);
}

#[test]
fn windows_follow_the_bars() {
    let machine = machine(TransportMode::Transitional);
    let ports = Window::Port {
        base: 0xc000,
        bytes: 128,
    };
    let memory = Window::Memory {
        base: 0xfeb1_0000,
        bytes: 0x4000,
    };
    assert_eq!(machine.function.window(0), Some(ports));
    assert_eq!(machine.function.window(4), Some(memory));
    assert_eq!(machine.function.window(2), None);
}

#[test]
fn every_structure_is_announced_inside_its_bar() {
    let machine = machine(TransportMode::Transitional);
    let mut kinds = vec![];
    for (id, at) in machine.capabilities().filter(|&(id, _)| id == 9) {
        assert_eq!(id, 9);
        let field = |offset, width| u64::from(machine.config_read(at + offset, width));
        kinds.push(field(3, Width::Byte));
        if field(3, Width::Byte) == 5 {
            continue;
        }
        let window = machine.function.window(field(4, Width::Byte) as usize);
        let bytes = match window.unwrap() {
            Window::Port { bytes, .. } => u64::from(bytes),
            Window::Memory { bytes, .. } => bytes,
        };
        assert!(field(8, Width::Dword) + field(12, Width::Dword) <= bytes);
    }
    assert_eq!(kinds, [1, 2, 2, 3, 4, 5]);
}

#[test]
fn features_must_be_a_modern_subset() {
    let mut machine = machine(TransportMode::Transitional);
    let driver = Modern::probe(&machine);
    let offered = driver.features(&mut machine);
    assert_eq!(offered & (1 << 27), 0, "ANY_LAYOUT is for legacy drivers");
    assert_ne!(offered & VERSION_1, 0);
    assert_eq!(driver.negotiate(&mut machine, offered), 11);
    assert_eq!(driver.negotiate(&mut machine, offered & !VERSION_1), 3);
    assert_eq!(driver.negotiate(&mut machine, offered | 1 << 40), 3);
}

#[test]
fn features_cannot_change_after_features_ok() {
    let mut machine = machine(TransportMode::Modern);
    let driver = Modern::probe(&machine);
    driver.negotiate(&mut machine, VERSION_1);
    driver.write(&mut machine, Modern::COMMON, 8, Width::Dword, 0);
    driver.write(&mut machine, Modern::COMMON, 12, Width::Dword, 1 << 9);
    assert_eq!(
        driver.read(&mut machine, Modern::COMMON, 12, Width::Dword),
        0
    );
}

#[test]
fn nothing_moves_before_driver_ok_and_all_of_it_then() {
    let mut machine = machine(TransportMode::Modern);
    let driver = Modern::probe(&machine);
    driver.negotiate(&mut machine, VERSION_1);
    let mut ring = driver.queue(&mut machine, 0, 0x1_0000, VERSION_1);
    ring.add(&machine.memory, &READ);
    driver.kick(&mut machine, &ring);
    machine.poll();
    assert_eq!(ring.pop(&machine.memory), None);
    driver.set_status(&mut machine, 15);
    assert_eq!(ring.pop(&machine.memory), Some((0, 513)));
}

#[test]
fn a_function_that_may_not_master_the_bus_waits() {
    let mut machine = machine(TransportMode::Modern);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 1);
    machine.config_write(offset::COMMAND, Width::Word, 3);
    rings[0].add(&machine.memory, &READ);
    driver.kick(&mut machine, &rings[0]);
    assert_eq!(rings[0].pop(&machine.memory), None);
    machine.config_write(offset::COMMAND, Width::Word, 7);
    assert_eq!(rings[0].pop(&machine.memory), Some((0, 513)));
}

#[test]
fn legacy_drivers_may_run_before_driver_ok() {
    let mut machine = machine(TransportMode::Transitional);
    let mut rings = Legacy::start(&mut machine, 0, 1);
    machine.write(0, 18, Width::Byte, 3);
    rings[0].add(&machine.memory, &READ);
    Legacy::kick(&mut machine, &rings[0]);
    assert_eq!(rings[0].pop(&machine.memory), Some((0, 513)));
}

#[test]
fn intx_rises_with_the_isr_and_falls_when_it_is_read() {
    let mut machine = machine(TransportMode::Transitional);
    let mut rings = Legacy::start(&mut machine, 0, 1);
    rings[0].add(&machine.memory, &READ);
    assert!(!machine.function.interrupt_line());
    Legacy::kick(&mut machine, &rings[0]);
    assert!(machine.function.interrupt_line());
    assert_eq!(machine.config_read(offset::STATUS, Width::Byte) & 8, 8);
    assert_eq!(machine.read(0, 19, Width::Byte), 1);
    assert!(!machine.function.interrupt_line());
    assert_eq!(machine.read(0, 19, Width::Byte), 0);
    assert_eq!(machine.config_read(offset::STATUS, Width::Byte) & 8, 0);
}

#[test]
fn msix_moves_the_legacy_device_registers_and_silences_intx() {
    let mut machine = machine(TransportMode::Transitional);
    assert_eq!(machine.read(0, 20, Width::Dword), SECTORS);
    machine.enable_msix();
    assert_eq!(machine.read(0, 24, Width::Dword), SECTORS);
    assert_eq!(machine.read(0, 20, Width::Word), 0xffff);
    let mut rings = Legacy::start(&mut machine, 0, 1);
    machine.write(0, 22, Width::Word, 9);
    assert_eq!(
        machine.read(0, 22, Width::Word),
        0xffff,
        "there is no vector 9"
    );
    machine.write(0, 22, Width::Word, 1);
    assert_eq!(machine.read(0, 22, Width::Word), 1);
    rings[0].add(&machine.memory, &READ);
    Legacy::kick(&mut machine, &rings[0]);
    assert_eq!(machine.sent.0, [0x41]);
    assert!(!machine.function.interrupt_line());
}

#[test]
fn queue_registers_read_back_and_absent_queues_have_no_size() {
    let mut machine = machine(TransportMode::Modern);
    let (driver, rings) = Modern::start(&mut machine, VERSION_1, 1);
    let common =
        |machine: &mut Machine, offset, width| driver.read(machine, Modern::COMMON, offset, width);
    assert_eq!(common(&mut machine, 18, Width::Word), 1);
    assert_eq!(common(&mut machine, 28, Width::Word), 1);
    assert_eq!(common(&mut machine, 30, Width::Word), 0);
    assert_eq!(common(&mut machine, 32, Width::Qword), rings[0].descriptors);
    assert_eq!(common(&mut machine, 48, Width::Dword), rings[0].used);
    driver.write(&mut machine, Modern::COMMON, 24, Width::Word, 4);
    assert_eq!(
        common(&mut machine, 24, Width::Word),
        256,
        "an enabled queue keeps its size"
    );
    driver.write(&mut machine, Modern::COMMON, 22, Width::Word, 1);
    assert_eq!(common(&mut machine, 24, Width::Word), 0);
    assert_eq!(common(&mut machine, 26, Width::Word), 0xffff);
    driver.set_status(&mut machine, 0);
    assert_eq!(driver.status(&mut machine), 0);
    assert_eq!(common(&mut machine, 28, Width::Word), 0);
}

#[test]
fn configuration_space_is_a_way_to_every_register() {
    let mut machine = machine(TransportMode::Transitional);
    let window = machine.capabilities().last().unwrap().1;
    let aim = |machine: &mut Machine, bar: u32, offset: u32, bytes: u32| {
        machine.config_write(window + 4, Width::Byte, bar);
        machine.config_write(window + 8, Width::Dword, offset);
        machine.config_write(window + 12, Width::Dword, bytes);
    };
    aim(&mut machine, 4, 0x2000, 4);
    assert_eq!(
        machine.config_read(window + 16, Width::Dword),
        SECTORS as u32
    );
    aim(&mut machine, 4, 20, 1);
    machine.config_write(window + 16, Width::Byte, 1);
    assert_eq!(machine.config_read(window + 16, Width::Byte), 1);
    assert_eq!(machine.read(0, 18, Width::Byte), 1);
    // What is no access reads what was written: a wrong length, a wrong place, a BAR that is not there.
    for (bar, offset, bytes) in [(4, 0, 3), (4, 0, 8), (4, 0x4000, 4), (4, 2, 4), (2, 0, 4)] {
        aim(&mut machine, bar, offset, bytes);
        machine.config_write(window + 16, Width::Dword, 0x1234_5678);
        assert_eq!(machine.config_read(window + 16, Width::Dword), 0x1234_5678);
    }
}

#[test]
fn a_wrong_queue_program_asks_for_a_reset_and_a_reset_heals_it() {
    for (register, value) in [(24, 3), (24, 512), (24, 0), (32, 8), (40, 1), (48, 2)] {
        let mut machine = machine(TransportMode::Modern);
        let driver = Modern::probe(&machine);
        driver.negotiate(&mut machine, VERSION_1);
        let width = if register == 24 {
            Width::Word
        } else {
            Width::Dword
        };
        driver.write(&mut machine, Modern::COMMON, register, width, value);
        driver.set_status(&mut machine, 15);
        driver.write(&mut machine, Modern::COMMON, 28, Width::Word, 1);
        assert_eq!(
            driver.status(&mut machine),
            15 | 64,
            "register {register} = {value}"
        );
        assert!(machine.function.interrupt_line());
        assert_eq!(driver.read(&mut machine, Modern::ISR, 0, Width::Byte), 2);
        driver.set_status(&mut machine, 15);
        assert_eq!(
            driver.status(&mut machine),
            15 | 64,
            "only a reset clears it"
        );
        let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 1);
        rings[0].add(&machine.memory, &READ);
        driver.kick(&mut machine, &rings[0]);
        assert_eq!(rings[0].pop(&machine.memory), Some((0, 513)));
        assert_eq!(machine.memory.load::<u8>(Gpa(0x7800)), Ok(0));
    }
}
