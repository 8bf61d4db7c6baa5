//! Drivers: the modern and the legacy way to a running queue, and the driver's side of a queue.

use crate::machine::Machine;
use guest_mem::{Gpa, GuestMemory};
use hvm::Width;
use std::collections::HashMap;

pub const INDIRECT: u64 = 1 << 28;
pub const EVENT_INDEX: u64 = 1 << 29;
pub const VERSION_1: u64 = 1 << 32;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT_FLAG: u16 = 4;

/// Where the registers of a modern function are: kind of structure to BAR, offset and multiplier of the first one offered.
pub struct Modern {
    places: HashMap<u8, (usize, u64, u64)>,
}

impl Modern {
    pub const COMMON: u8 = 1;
    pub const NOTIFY: u8 = 2;
    pub const ISR: u8 = 3;
    pub const DEVICE: u8 = 4;

    /// Finds the structures.
    pub fn probe(machine: &Machine) -> Self {
        let mut places = HashMap::new();
        for (id, at) in machine.capabilities() {
            if id != 9 {
                continue;
            }
            let kind = machine.config_read(at + 3, Width::Byte) as u8;
            let bar = machine.config_read(at + 4, Width::Byte) as usize;
            let offset = u64::from(machine.config_read(at + 8, Width::Dword));
            let multiplier = u64::from(machine.config_read(at + 16, Width::Dword));
            places.entry(kind).or_insert((bar, offset, multiplier));
        }
        Self { places }
    }

    pub fn read(&self, machine: &mut Machine, kind: u8, offset: u64, width: Width) -> u64 {
        let (bar, base, _) = self.places[&kind];
        machine.read(bar, base + offset, width)
    }

    pub fn write(&self, machine: &mut Machine, kind: u8, offset: u64, width: Width, value: u64) {
        let (bar, base, _) = self.places[&kind];
        machine.write(bar, base + offset, width, value);
    }

    pub fn status(&self, machine: &mut Machine) -> u64 {
        self.read(machine, Self::COMMON, 20, Width::Byte)
    }

    pub fn set_status(&self, machine: &mut Machine, value: u64) {
        self.write(machine, Self::COMMON, 20, Width::Byte, value);
    }

    pub fn features(&self, machine: &mut Machine) -> u64 {
        [0, 1].into_iter().fold(0, |features, select| {
            self.write(machine, Self::COMMON, 0, Width::Dword, select);
            features | self.read(machine, Self::COMMON, 4, Width::Dword) << (32 * select)
        })
    }

    /// Resets and negotiates; returns the status after FEATURES_OK was asked for.
    pub fn negotiate(&self, machine: &mut Machine, features: u64) -> u64 {
        self.set_status(machine, 0);
        self.set_status(machine, 1);
        self.set_status(machine, 3);
        for select in 0..2 {
            self.write(machine, Self::COMMON, 8, Width::Dword, select);
            let dword = features >> (32 * select) & 0xffff_ffff;
            self.write(machine, Self::COMMON, 12, Width::Dword, dword);
        }
        self.set_status(machine, 11);
        self.status(machine)
    }

    /// Programs queue `index` with rings from `base` on and MSI-X vector `index`.
    pub fn queue(&self, machine: &mut Machine, index: u16, base: u64, features: u64) -> Ring {
        self.write(machine, Self::COMMON, 22, Width::Word, u64::from(index));
        let size = self.read(machine, Self::COMMON, 24, Width::Word) as u16;
        let ring = Ring::new(index, size, base, base + 0x2000, base + 0x3000, features);
        for (register, address) in [
            (32, ring.descriptors),
            (40, ring.available),
            (48, ring.used),
        ] {
            self.write(
                machine,
                Self::COMMON,
                register,
                Width::Dword,
                address & 0xffff_ffff,
            );
            self.write(
                machine,
                Self::COMMON,
                register + 4,
                Width::Dword,
                address >> 32,
            );
        }
        self.write(machine, Self::COMMON, 26, Width::Word, u64::from(index));
        self.write(machine, Self::COMMON, 28, Width::Word, 1);
        ring
    }

    /// All the way to DRIVER_OK; queue `i` has its rings at `(i + 1) * 1_0000h`.
    pub fn start(machine: &mut Machine, features: u64, queues: u16) -> (Self, Vec<Ring>) {
        let driver = Self::probe(machine);
        assert_eq!(driver.negotiate(machine, features), 11);
        let rings = (0..queues)
            .map(|index| driver.queue(machine, index, ring_base(index), features))
            .collect();
        driver.set_status(machine, 15);
        (driver, rings)
    }

    pub fn kick(&self, machine: &mut Machine, ring: &Ring) {
        let index = u64::from(ring.index);
        let multiplier = self.places[&Self::NOTIFY].2;
        self.write(
            machine,
            Self::NOTIFY,
            index * multiplier,
            Width::Word,
            index,
        );
    }
}

fn ring_base(index: u16) -> u64 {
    (u64::from(index) + 1) * 0x1_0000
}

/// The legacy way: everything through BAR 0.
pub struct Legacy;

impl Legacy {
    pub fn start(machine: &mut Machine, features: u64, queues: u16) -> Vec<Ring> {
        machine.write(0, 18, Width::Byte, 0);
        machine.write(0, 18, Width::Byte, 1);
        machine.write(0, 18, Width::Byte, 3);
        machine.write(0, 4, Width::Dword, features);
        let rings = (0..queues)
            .map(|index| {
                machine.write(0, 14, Width::Word, u64::from(index));
                let size = machine.read(0, 12, Width::Word) as u16;
                let base = ring_base(index);
                machine.write(0, 8, Width::Dword, base / 4096);
                let available = base + 16 * u64::from(size);
                let used = (available + 6 + 2 * u64::from(size)).next_multiple_of(4096);
                Ring::new(index, size, base, available, used, features)
            })
            .collect();
        machine.write(0, 18, Width::Byte, 7);
        rings
    }

    pub fn kick(machine: &mut Machine, ring: &Ring) {
        machine.write(0, 16, Width::Word, u64::from(ring.index));
    }
}

/// One buffer of a request.
#[derive(Clone, Copy)]
pub enum Buffer {
    /// For the device to read.
    In(u64, u32),
    /// For the device to write.
    Out(u64, u32),
}

/// The driver's side of a queue.
pub struct Ring {
    pub index: u16,
    pub size: u16,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    features: u64,
    next_descriptor: u16,
    next_available: u16,
    kicked: u16,
    next_used: u16,
}

impl Ring {
    fn new(
        index: u16,
        size: u16,
        descriptors: u64,
        available: u64,
        used: u64,
        features: u64,
    ) -> Self {
        Self {
            index,
            size,
            descriptors,
            available,
            used,
            features,
            next_descriptor: 0,
            next_available: 0,
            kicked: 0,
            next_used: 0,
        }
    }

    /// Writes descriptor `slot` of the table at `table`.
    pub fn descriptor(
        memory: &GuestMemory,
        table: u64,
        slot: u16,
        address: u64,
        bytes: u32,
        flags: u16,
        next: u16,
    ) {
        let at = table + 16 * u64::from(slot);
        memory.store(Gpa(at), &address).unwrap();
        memory.store(Gpa(at + 8), &bytes).unwrap();
        memory.store(Gpa(at + 12), &flags).unwrap();
        memory.store(Gpa(at + 14), &next).unwrap();
    }

    /// Lays `buffers` out as a chain of descriptors in `table`, from `first` on.
    fn lay(&self, memory: &GuestMemory, table: u64, first: u16, modulo: u16, buffers: &[Buffer]) {
        for (place, &buffer) in (0..).zip(buffers) {
            let slot = (first + place) % modulo;
            let last = usize::from(place) + 1 == buffers.len();
            let next = if last { 0 } else { NEXT };
            let (address, bytes, flags) = match buffer {
                Buffer::In(address, bytes) => (address, bytes, next),
                Buffer::Out(address, bytes) => (address, bytes, next | WRITE),
            };
            Self::descriptor(
                memory,
                table,
                slot,
                address,
                bytes,
                flags,
                (slot + 1) % modulo,
            );
        }
    }

    /// Makes a request available, as a chain in the ring's own table. Returns its head.
    pub fn add(&mut self, memory: &GuestMemory, buffers: &[Buffer]) -> u16 {
        let head = self.next_descriptor;
        self.next_descriptor = (head + buffers.len() as u16) % self.size;
        self.lay(memory, self.descriptors, head, self.size, buffers);
        self.make_available(memory, head);
        head
    }

    /// The same through an indirect table at `table`.
    pub fn add_indirect(&mut self, memory: &GuestMemory, table: u64, buffers: &[Buffer]) -> u16 {
        let head = self.next_descriptor;
        self.next_descriptor = (head + 1) % self.size;
        self.lay(memory, table, 0, u16::MAX, buffers);
        let bytes = 16 * buffers.len() as u32;
        Self::descriptor(
            memory,
            self.descriptors,
            head,
            table,
            bytes,
            INDIRECT_FLAG,
            0,
        );
        self.make_available(memory, head);
        head
    }

    pub fn make_available(&mut self, memory: &GuestMemory, head: u16) {
        let slot = u64::from(self.next_available % self.size);
        memory
            .store(Gpa(self.available + 4 + 2 * slot), &head)
            .unwrap();
        self.next_available = self.next_available.wrapping_add(1);
        memory
            .store(Gpa(self.available + 2), &self.next_available)
            .unwrap();
    }

    /// Whether the device wants a kick for what was added since the last call.
    pub fn wants_kick(&mut self, memory: &GuestMemory) -> bool {
        let (old, new) = (self.kicked, self.next_available);
        self.kicked = new;
        if self.features & EVENT_INDEX == 0 {
            return memory.load::<u16>(Gpa(self.used)).unwrap() & 1 == 0;
        }
        let at = self.used + 4 + 8 * u64::from(self.size);
        let event: u16 = memory.load(Gpa(at)).unwrap();
        new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
    }

    /// Asks for an interrupt when the device's used index passes `event`.
    pub fn set_used_event(&self, memory: &GuestMemory, event: u16) {
        let at = self.available + 4 + 2 * u64::from(self.size);
        memory.store(Gpa(at), &event).unwrap();
    }

    /// The next request that came back: head and length.
    pub fn pop(&mut self, memory: &GuestMemory) -> Option<(u16, u32)> {
        let index: u16 = memory.load(Gpa(self.used + 2)).unwrap();
        if index == self.next_used {
            return None;
        }
        let at = self.used + 4 + 8 * u64::from(self.next_used % self.size);
        self.next_used = self.next_used.wrapping_add(1);
        let head: u32 = memory.load(Gpa(at)).unwrap();
        Some((head as u16, memory.load(Gpa(at + 4)).unwrap()))
    }
}
