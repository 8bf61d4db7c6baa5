//! The network card: frames in both directions, offloads, several queues, filters, the control queue, the link.

mod control;
mod receive;
mod send;

use crate::cable::{Cable, LONGEST_BYTES, MAC, cable, card, pool};
use crate::driver::{Buffer, EVENT_INDEX, Legacy, Modern, Ring, VERSION_1};
use crate::machine::Machine;
use guest_mem::Gpa;
use hvm::backend::Link;
use hvm::packet::{Checksum, Cut, Offload, PartialChecksum, Segmentation};
use hvm::pci::Function;
use hvm::{Instant, Width};
use virtio_pv::pci::TransportMode;

const CHECKSUM: u64 = 1;
const GUEST_CHECKSUM: u64 = 1 << 1;
const GUEST_TSO4: u64 = 1 << 7;
const HOST_TSO4: u64 = 1 << 11;
const MERGEABLE: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
const CONTROL: u64 = 1 << 17;
const CONTROL_RX: u64 = 1 << 18;
const CONTROL_VLAN: u64 = 1 << 19;
const CONTROL_RX_EXTRA: u64 = 1 << 20;
const GUEST_OFFLOADS: u64 = 1 << 2;
const ANNOUNCE: u64 = 1 << 21;
const MULTIQUEUE: u64 = 1 << 22;
const CONTROL_MAC: u64 = 1 << 23;

/// Receive and transmit queues of the first pair.
const RX: usize = 0;
const TX: usize = 1;
/// The control queue of a driver without several queues, and with.
const PLAIN_CONTROL: usize = 2;
const LAST: usize = 4;
/// Where buffers lie.
const DATA: u64 = 0x8_0000;
const HEADER_BYTES: u64 = 12;

struct Guest {
    machine: Machine,
    driver: Modern,
    rings: Vec<Ring>,
    cable: Cable,
}

impl Guest {
    fn new(features: u64) -> Self {
        let cable = cable();
        let mut machine = Machine::new(card(&cable), TransportMode::Transitional);
        let (driver, rings) = Modern::start(&mut machine, VERSION_1 | features, 5);
        Self {
            machine,
            driver,
            rings,
            cable,
        }
    }

    /// Sends a header and a frame from two buffers.
    fn send(&mut self, header: &[u8; 12], frame: &[u8]) {
        let memory = &self.machine.memory;
        memory.write(Gpa(DATA), header).unwrap();
        memory.write(Gpa(DATA + 0x100), frame).unwrap();
        let buffers = [
            Buffer::In(DATA, 12),
            Buffer::In(DATA + 0x100, frame.len() as u32),
        ];
        self.rings[TX].add(memory, &buffers);
        self.driver.kick(&mut self.machine, &self.rings[TX]);
    }

    /// Offers `count` receive buffers of `bytes`, one after the other in memory.
    fn offer(&mut self, queue: usize, count: u64, bytes: u64) {
        for index in 0..count {
            let buffer = Buffer::Out(DATA + index * bytes, bytes as u32);
            self.rings[queue].add(&self.machine.memory, &[buffer]);
        }
        self.driver.kick(&mut self.machine, &self.rings[queue]);
    }

    /// A frame came in.
    fn arrive(&mut self, frame: &[u8]) {
        self.cable.put(frame);
        self.machine.poll();
    }

    /// Sends a command, and returns the answer.
    fn command(&mut self, queue: usize, bytes: &[u8]) -> u8 {
        let memory = &self.machine.memory;
        memory.write(Gpa(DATA), bytes).unwrap();
        memory.store(Gpa(DATA + 0x4000), &0xee_u8).unwrap();
        let buffers = [
            Buffer::In(DATA, 2),
            Buffer::In(DATA + 2, bytes.len() as u32 - 2),
            Buffer::Out(DATA + 0x4000, 1),
        ];
        self.rings[queue].add(memory, &buffers);
        self.driver.kick(&mut self.machine, &self.rings[queue]);
        assert!(self.rings[queue].pop(&self.machine.memory).is_some());
        self.machine.memory.load(Gpa(DATA + 0x4000)).unwrap()
    }

    fn bytes(&self, at: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.machine.memory.read(Gpa(at), &mut bytes).unwrap();
        bytes
    }
}

/// A frame for `destination` with countable bytes.
fn frame(destination: [u8; 6], bytes: usize) -> Vec<u8> {
    let rest = (6..bytes).map(|at| at as u8);
    destination.into_iter().chain(rest).collect()
}
