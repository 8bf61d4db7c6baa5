//! The console: both directions, back-pressure, the terminal's size.

use crate::driver::{Buffer, EVENT_INDEX, Legacy, Modern, VERSION_1};
use crate::machine::Machine;
use crate::terminal::{Port, console};
use guest_mem::Gpa;
use hvm::Width;
use virtio_pv::pci::TransportMode;

const INPUT: usize = 0;
const OUTPUT: usize = 1;
const DATA: u64 = 0x8000;

fn machine(port: &Port) -> Machine {
    Machine::new(console(port), TransportMode::Transitional)
}

#[test]
fn output_appears_in_order() {
    let port = Port::default();
    port.0.lock().unwrap().room = 1 << 20;
    let mut machine = machine(&port);
    let mut rings = Legacy::start(&mut machine, 0, 2);
    let text: Vec<u8> = (0..1000_u32).map(|at| at as u8).collect();
    machine.memory.write(Gpa(DATA), &text).unwrap();
    let parts = [Buffer::In(DATA, 300), Buffer::In(DATA + 300, 700)];
    rings[OUTPUT].add(&machine.memory, &parts);
    Legacy::kick(&mut machine, &rings[OUTPUT]);
    assert_eq!(rings[OUTPUT].pop(&machine.memory), Some((0, 0)));
    assert_eq!(port.0.lock().unwrap().shown, text);
}

#[test]
fn output_waits_for_room_and_none_is_lost() {
    let port = Port::default();
    let mut machine = machine(&port);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | EVENT_INDEX, 2);
    let text: Vec<u8> = (0..900_u32).map(|at| (at / 3) as u8).collect();
    machine.memory.write(Gpa(DATA), &text).unwrap();
    for part in 0..3 {
        rings[OUTPUT].add(&machine.memory, &[Buffer::In(DATA + 300 * part, 300)]);
    }
    driver.kick(&mut machine, &rings[OUTPUT]);
    let mut back = 0;
    for _ in 0..10 {
        port.0.lock().unwrap().room = 97;
        machine.poll();
        back += std::iter::from_fn(|| rings[OUTPUT].pop(&machine.memory)).count();
        assert_eq!(back, port.0.lock().unwrap().shown.len() / 300);
    }
    assert_eq!(port.0.lock().unwrap().shown, text);
}

#[test]
fn input_waits_for_buffers_and_none_is_lost() {
    let port = Port::default();
    let typed: Vec<u8> = (0..500_u32).map(|at| (at / 2) as u8).collect();
    port.0.lock().unwrap().typed.extend(&typed);
    let mut machine = machine(&port);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | EVENT_INDEX, 2);
    machine.poll();
    let mut seen: Vec<u8> = vec![];
    while seen.len() < typed.len() {
        rings[INPUT].add(
            &machine.memory,
            &[Buffer::Out(DATA, 10), Buffer::Out(DATA + 64, 23)],
        );
        assert!(rings[INPUT].wants_kick(&machine.memory));
        driver.kick(&mut machine, &rings[INPUT]);
        let (_, bytes) = rings[INPUT]
            .pop(&machine.memory)
            .expect("input was waiting");
        let mut buffer = [0; 128];
        machine.memory.read(Gpa(DATA), &mut buffer).unwrap();
        let scattered = buffer[..10].iter().chain(&buffer[64..64 + 23]);
        seen.extend(scattered.take(bytes as usize));
    }
    assert_eq!(seen, typed);
}

#[test]
fn buffers_wait_for_input() {
    let port = Port::default();
    let mut machine = machine(&port);
    machine.enable_msix();
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 2);
    for part in 0..2 {
        rings[INPUT].add(&machine.memory, &[Buffer::Out(DATA + part, 1)]);
    }
    driver.kick(&mut machine, &rings[INPUT]);
    assert_eq!(rings[INPUT].pop(&machine.memory), None);
    port.0.lock().unwrap().typed.extend(b"hi!");
    machine.poll();
    assert_eq!(machine.sent.0, [0x40]);
    assert_eq!(rings[INPUT].pop(&machine.memory), Some((0, 1)));
    assert_eq!(rings[INPUT].pop(&machine.memory), Some((1, 1)));
    assert_eq!(machine.memory.load::<[u8; 2]>(Gpa(DATA)), Ok(*b"hi"));
    assert_eq!(port.0.lock().unwrap().typed, [b'!']);
}

#[test]
fn a_buffer_that_is_not_ram_stops_the_device_before_input_is_lost() {
    let port = Port::default();
    port.0.lock().unwrap().typed.extend(b"keep");
    let mut machine = machine(&port);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 2);
    rings[INPUT].add(&machine.memory, &[Buffer::Out(0x4000_0000, 64)]);
    driver.kick(&mut machine, &rings[INPUT]);
    assert_eq!(driver.status(&mut machine) & 64, 64);
    assert_eq!(port.0.lock().unwrap().typed.len(), 4);
}

#[test]
fn size_and_emergency_write_work_without_a_driver() {
    let port = Port::default();
    port.0.lock().unwrap().room = 2;
    let mut machine = machine(&port);
    let driver = Modern::probe(&machine);
    let size = driver.read(&mut machine, Modern::DEVICE, 0, Width::Dword);
    assert_eq!(size, 25 << 16 | 80);
    for byte in *b"xyz" {
        driver.write(&mut machine, Modern::DEVICE, 8, Width::Dword, byte.into());
    }
    assert_eq!(port.0.lock().unwrap().shown, b"xy");
}
