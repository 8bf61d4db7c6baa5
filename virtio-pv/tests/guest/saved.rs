//! Pause, save, restore.

use crate::driver::{Buffer, EVENT_INDEX, Modern, VERSION_1};
use crate::machine::Machine;
use crate::medium::{Slow, disk};
use crate::probe::READ;
use crate::terminal::{Port, console};
use guest_mem::Gpa;
use hvm::device::Lifecycle;
use virtio_pv::block::Disk;
use virtio_pv::pci::TransportMode;
use virtio_pv::ram::Access;

/// Moves the machine's state and memory into `other`, as a migration does.
fn migrate(mut from: Machine, mut to: Machine) -> Machine {
    from.function.pause();
    to.function.pause();
    let state = from.function.save();
    to.function.restore(&state).unwrap();
    assert_eq!(
        to.function.save(),
        state,
        "a restored state saves as itself"
    );
    to.memory = from.memory;
    to.function.resume();
    to
}

#[test]
fn a_paused_device_does_nothing_and_then_catches_up() {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Modern);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 1);
    machine.function.pause();
    rings[0].add(&machine.memory, &READ);
    driver.kick(&mut machine, &rings[0]);
    machine.poll();
    assert_eq!(rings[0].pop(&machine.memory), None);
    machine.function.resume();
    machine.poll();
    assert_eq!(rings[0].pop(&machine.memory), Some((0, 513)));
}

#[test]
fn a_disk_goes_on_where_it_was() {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Transitional);
    machine.enable_msix();
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | EVENT_INDEX, 1);
    for round in 0..300 {
        rings[0].set_used_event(&machine.memory, round);
        rings[0].add(&machine.memory, &READ);
        driver.kick(&mut machine, &rings[0]);
        assert!(rings[0].pop(&machine.memory).is_some());
        assert_eq!(machine.sent.0, [0x40]);
        machine.sent.0.clear();
        if round % 50 == 7 {
            let fresh = Machine::new(disk(Access::ReadWrite), TransportMode::Transitional);
            machine = migrate(machine, fresh);
        }
    }
}

#[test]
fn requests_under_way_are_started_over() {
    let slow = || {
        let (medium, desk) = Slow::new();
        let device = Box::new(Disk::new(Box::new(medium), "slow"));
        (Machine::new(device, TransportMode::Modern), desk)
    };
    let (mut machine, _) = slow();
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 1);
    rings[0].add(&machine.memory, &READ);
    rings[0].add(&machine.memory, &READ);
    driver.kick(&mut machine, &rings[0]);
    let (fresh, desk) = slow();
    let mut machine = migrate(machine, fresh);
    machine.poll();
    let asked = desk.lock().unwrap().asked.clone();
    assert_eq!(asked.len(), 2);
    for (_, token) in asked {
        desk.lock().unwrap().answers.push_back((token, Ok(())));
    }
    machine.poll();
    assert_eq!(rings[0].pop(&machine.memory), Some((0, 513)));
    assert_eq!(rings[0].pop(&machine.memory), Some((3, 513)));
}

#[test]
fn a_console_goes_on_in_the_middle_of_a_line() {
    let port = Port::default();
    let mut machine = Machine::new(console(&port), TransportMode::Modern);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 2);
    machine.memory.write(Gpa(0x8000), b"one line").unwrap();
    rings[1].add(&machine.memory, &[Buffer::In(0x8000, 8)]);
    port.0.lock().unwrap().room = 4;
    driver.kick(&mut machine, &rings[1]);
    let fresh = Machine::new(console(&port), TransportMode::Modern);
    let mut machine = migrate(machine, fresh);
    port.0.lock().unwrap().room = 4;
    machine.poll();
    assert_eq!(port.0.lock().unwrap().shown, b"one line");
    assert_eq!(rings[1].pop(&machine.memory), Some((0, 0)));
}

#[test]
fn a_foreign_or_damaged_state_changes_nothing() {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Modern);
    let (_, _) = Modern::start(&mut machine, VERSION_1, 1);
    let before = machine.function.save();
    let port = Port::default();
    let mut foreign = vec![
        vec![],
        Machine::new(console(&port), TransportMode::Modern)
            .function
            .save(),
        Machine::new(disk(Access::ReadWrite), TransportMode::Transitional)
            .function
            .save(),
        before[..before.len() - 1].to_vec(),
    ];
    let mut newer = before.clone();
    newer[0] += 1;
    foreign.push(newer);
    for state in foreign {
        let error = machine.function.restore(&state).unwrap_err();
        assert!(!error.0.is_empty());
        assert_eq!(machine.function.save(), before);
    }
}
