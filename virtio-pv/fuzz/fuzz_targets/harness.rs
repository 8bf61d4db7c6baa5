//! The drivers in miniature of the integration tests, and a machine with either device.

#[allow(dead_code)]
#[path = "../../tests/guest/cable.rs"]
pub mod cable;
#[allow(dead_code)]
#[path = "../../tests/guest/driver.rs"]
pub mod driver;
#[allow(dead_code)]
#[path = "../../tests/guest/machine.rs"]
pub mod machine;
#[allow(dead_code)]
#[path = "../../tests/guest/medium.rs"]
pub mod medium;
#[allow(dead_code)]
#[path = "../../tests/guest/terminal.rs"]
pub mod terminal;

use guest_mem::{Gpa, GuestMemory};
use machine::{Machine, RAM_BYTES};
use std::sync::Mutex;
use virtio_pv::device::Device;
use virtio_pv::pci::TransportMode;
use virtio_pv::ram::Access;

/// The RAM of the machine before, since RAM is leaked and runs are many.
static SPARE: Mutex<Option<GuestMemory>> = Mutex::new(None);

/// A machine with a console that has input and room, with a network card that has frames, or with a disk; and its number of queues.
pub fn machine(selector: u8) -> (Machine, u16) {
    let (device, queues): (Box<dyn Device>, u16) = if selector & 8 != 0 {
        let cable = cable::cable();
        for bytes in [60, 1514, 9000] {
            let mut frame = vec![7; bytes];
            frame[..6].copy_from_slice(&cable::MAC);
            cable.put(&frame);
        }
        (cable::card(&cable), 5)
    } else if selector & 1 == 0 {
        (medium::disk(Access::ReadWrite), 1)
    } else {
        let port = terminal::Port::default();
        port.0.lock().unwrap().room = 5000;
        port.0.lock().unwrap().typed.extend([7; 5000]);
        (terminal::console(&port), 2)
    };
    let spare = SPARE.lock().unwrap().take();
    let memory = spare.unwrap_or_else(|| GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]));
    memory.fill(Gpa(0), RAM_BYTES, 0).unwrap();
    let machine = Machine::with_memory(device, TransportMode::Transitional, memory);
    (machine, queues)
}

/// Keeps a machine's RAM for the next.
pub fn recycle(machine: Machine) {
    *SPARE.lock().unwrap() = Some(machine.memory);
}
