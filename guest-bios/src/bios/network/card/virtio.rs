//! The virtio network card through its legacy registers (virtio 1.2, 4.1.4.10 and 5.1).
//!
//! Eight receive buffers and four to send from, each of a descriptor for the header and one for the frame.

use super::{Call, FRAME_BYTES, Interrupts, Link, Mac, load, store};
use guest_mem::Gpa;
use hvm::Width;
use serde::{Deserialize, Serialize};
use zerocopy::{Immutable, IntoBytes};

/// Device and vendor of the transitional card, as configuration space has them.
pub const ID: u32 = 0x1000_1af4;

const DRIVER_FEATURES: u16 = 4;
const QUEUE_ADDRESS: u16 = 8;
const QUEUE_SIZE: u16 = 12;
const QUEUE_SELECT: u16 = 14;
const QUEUE_NOTIFY: u16 = 16;
const STATUS: u16 = 18;
const INTERRUPT: u16 = 19;
const ADDRESS: u16 = 20;
const LINK: u16 = 26;

const DRIVER: u8 = 3;
const DRIVER_OK: u8 = 7;
/// Features: the address and the link are told.
const ADDRESS_AND_STATUS: u32 = 1 << 5 | 1 << 16;
const LINK_UP: u32 = 1;
const QUEUE_INTERRUPT: u8 = 1;
const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// Of an available ring.
const NO_INTERRUPT: u16 = 1;

/// Most entries of a ring that there is room for.
const MOST_ENTRIES: u16 = 256;
const RING_ALIGNMENT: u64 = 4096;
const HEADER_BYTES: usize = 10;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const RECEIVE_BUFFERS: u16 = 8;
const TRANSMIT_BUFFERS: u16 = 4;

/// Where things are: a ring of the most entries has ten and a half KiB.
const RING_BYTES: u64 = 0x3000;
const HEADERS: u64 = 2 * RING_BYTES;
const FRAMES: u64 = HEADERS + 0x1000;
/// From header to header, and from frame to frame.
const HEADER_STEP: u64 = 16;
const FRAME_STEP: u64 = 0x600;

/// A descriptor (2.7.5).
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Descriptor {
    address: u64,
    bytes: u32,
    flags: u16,
    next: u16,
}

/// The driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Virtio {
    ports: u16,
    /// Where the rings are, below 4 GiB.
    rings: u32,
    /// Entries of the two rings.
    entries: [u16; 2],
    /// Frames that were taken from the receive ring.
    received: u16,
    /// Frames that were put into the transmit ring.
    sent: u16,
}

impl Virtio {
    pub const fn new(ports: u16, rings: Gpa) -> Self {
        Self {
            ports,
            rings: rings.0 as u32,
            entries: [1; 2],
            received: 0,
            sent: 0,
        }
    }

    fn port(&self, register: u16) -> u16 {
        self.ports.wrapping_add(register)
    }

    /// How many entries a ring has, never none.
    fn entries(&self, queue: u16) -> u16 {
        self.entries[usize::from(queue)].max(1)
    }

    /// Where a ring is.
    fn ring(&self, queue: u16) -> Gpa {
        Gpa(u64::from(self.rings) + u64::from(queue) * RING_BYTES)
    }

    /// A ring's available part: flags, index, entries (2.7.6).
    fn available(&self, queue: u16, offset: u64) -> Gpa {
        let entries = u64::from(self.entries(queue));
        self.ring(queue).wrapping_add(16 * entries + offset)
    }

    /// Its used part: flags, index, entries (2.7.8).
    fn used(&self, queue: u16, offset: u64) -> Gpa {
        let entries = u64::from(self.entries(queue));
        let start = (16 * entries + 6 + 2 * entries).next_multiple_of(RING_ALIGNMENT);
        self.ring(queue).wrapping_add(start + offset)
    }

    pub fn open(&mut self, call: &mut Call<'_>) -> bool {
        self.close(call);
        call.outb(self.port(STATUS), DRIVER);
        call.machine
            .port_out(self.port(DRIVER_FEATURES), Width::Dword, ADDRESS_AND_STATUS);
        for queue in [RECEIVE, TRANSMIT] {
            if !self.set_up(call, queue) {
                return false;
            }
        }
        for buffer in 0..RECEIVE_BUFFERS {
            self.offer(call, RECEIVE, buffer, buffer);
        }
        self.set_interrupts(call, Interrupts::Masked);
        call.outb(self.port(STATUS), DRIVER_OK);
        self.kick(call, RECEIVE);
        true
    }

    /// Gives the card a ring of descriptors that are made once.
    fn set_up(&mut self, call: &mut Call<'_>, queue: u16) -> bool {
        call.machine
            .port_out(self.port(QUEUE_SELECT), Width::Word, queue.into());
        let entries = call.machine.port_in(self.port(QUEUE_SIZE), Width::Word) as u16;
        if !entries.is_power_of_two() || !(2 * RECEIVE_BUFFERS..=MOST_ENTRIES).contains(&entries) {
            return false;
        }
        self.entries[usize::from(queue)] = entries;
        let ring = self.ring(queue);
        call.write_physical(ring, &[0; RING_BYTES as usize]);
        let (first, count, flags) = match queue {
            RECEIVE => (0, RECEIVE_BUFFERS, WRITE),
            _ => (RECEIVE_BUFFERS, TRANSMIT_BUFFERS, 0),
        };
        for buffer in 0..count {
            let place = u64::from(first + buffer);
            let header = Descriptor {
                address: u64::from(self.rings) + HEADERS + place * HEADER_STEP,
                bytes: HEADER_BYTES as u32,
                flags: flags | NEXT,
                next: 2 * buffer + 1,
            };
            let frame = Descriptor {
                address: u64::from(self.rings) + FRAMES + place * FRAME_STEP,
                bytes: FRAME_BYTES as u32,
                flags,
                next: 0,
            };
            store(
                call,
                ring.wrapping_add(32 * u64::from(buffer)),
                &[header, frame],
            );
        }
        let page = (ring.0 / RING_ALIGNMENT) as u32;
        call.machine
            .port_out(self.port(QUEUE_ADDRESS), Width::Dword, page);
        true
    }

    pub fn close(&mut self, call: &mut Call<'_>) {
        call.outb(self.port(STATUS), 0);
        self.received = 0;
        self.sent = 0;
    }

    pub fn address(&self, call: &mut Call<'_>) -> Mac {
        core::array::from_fn(|index| call.inb(self.port(ADDRESS + index as u16)))
    }

    pub fn link(&self, call: &mut Call<'_>) -> Link {
        match call.machine.port_in(self.port(LINK), Width::Word) & LINK_UP {
            0 => Link::Down,
            _ => Link::Up,
        }
    }

    /// Makes a buffer available, as the ring's `turn`th.
    fn offer(&self, call: &mut Call<'_>, queue: u16, buffer: u16, turn: u16) {
        let place = turn % self.entries(queue);
        let entry = self.available(queue, 4 + 2 * u64::from(place));
        store(call, entry, &(2 * buffer));
        store(call, self.available(queue, 2), &turn.wrapping_add(1));
    }

    fn kick(&self, call: &mut Call<'_>, queue: u16) {
        call.machine
            .port_out(self.port(QUEUE_NOTIFY), Width::Word, queue.into());
    }

    pub fn send(&mut self, call: &mut Call<'_>, frame: &[u8]) -> bool {
        let done: u16 = load(call, self.used(TRANSMIT, 2));
        if self.sent.wrapping_sub(done) >= TRANSMIT_BUFFERS {
            return false;
        }
        let buffer = self.sent % TRANSMIT_BUFFERS;
        let place = u64::from(RECEIVE_BUFFERS + buffer);
        let header = Gpa(self.rings.into()).wrapping_add(HEADERS + place * HEADER_STEP);
        call.write_physical(header, &[0; HEADER_BYTES]);
        let at = Gpa(self.rings.into()).wrapping_add(FRAMES + place * FRAME_STEP);
        call.write_physical(at, frame);
        let bytes_of_frame = self
            .ring(TRANSMIT)
            .wrapping_add(32 * u64::from(buffer) + 24);
        store(call, bytes_of_frame, &(frame.len() as u32));
        self.offer(call, TRANSMIT, buffer, self.sent);
        self.sent = self.sent.wrapping_add(1);
        self.kick(call, TRANSMIT);
        true
    }

    pub fn receive(&mut self, call: &mut Call<'_>, into: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        let done: u16 = load(call, self.used(RECEIVE, 2));
        if done == self.received {
            return None;
        }
        let place = u64::from(self.received % self.entries(RECEIVE));
        let [head, bytes]: [u32; 2] = load(call, self.used(RECEIVE, 4 + 8 * place));
        let buffer = (head / 2) as u16 % RECEIVE_BUFFERS;
        let length = (bytes as usize)
            .saturating_sub(HEADER_BYTES)
            .min(FRAME_BYTES);
        let at = Gpa(self.rings.into()).wrapping_add(FRAMES + u64::from(buffer) * FRAME_STEP);
        call.read_physical(at, &mut into[..length]);
        let turn = self.received.wrapping_add(RECEIVE_BUFFERS);
        self.offer(call, RECEIVE, buffer, turn);
        self.received = self.received.wrapping_add(1);
        self.kick(call, RECEIVE);
        Some(length)
    }

    pub fn set_interrupts(&mut self, call: &mut Call<'_>, interrupts: Interrupts) {
        let flags = match interrupts {
            Interrupts::Open => 0,
            Interrupts::Masked => NO_INTERRUPT,
        };
        for queue in [RECEIVE, TRANSMIT] {
            store(call, self.available(queue, 0), &flags);
        }
    }

    pub fn take_interrupt(&mut self, call: &mut Call<'_>) -> bool {
        if call.inb(self.port(INTERRUPT)) & QUEUE_INTERRUPT == 0 {
            return false;
        }
        self.set_interrupts(call, Interrupts::Masked);
        true
    }
}
