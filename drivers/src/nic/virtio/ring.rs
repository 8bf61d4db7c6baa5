//! A split virtqueue, the driver's side, with a packet for each descriptor (virtio 1.2, 2.7).

use super::bits::queue::*;
use crate::window::{Shared, Window};
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};
use hvm::packet::Packet;

/// Most descriptors that a queue is given.
pub const MAX_SIZE: u16 = 256;
/// Bytes of memory for a queue of that size: its address is a multiple of 4096, as the legacy interface wants.
pub const SHARED_BYTES: usize = USED_AT_MOST + ENTRIES + MAX_SIZE as usize * USED_BYTES + 2;
/// The legacy interface aligns the used ring to this.
const ALIGN: usize = 4096;
const USED_AT_MOST: usize = used_at(MAX_SIZE);

pub(super) const fn available_at(size: u16) -> usize {
    size as usize * DESCRIPTOR_BYTES
}

pub(super) const fn used_at(size: u16) -> usize {
    (available_at(size) + ENTRIES + size as usize * AVAILABLE_BYTES + 2).next_multiple_of(ALIGN)
}

/// Where the parts of a queue of `size` descriptors at `dma` are.
pub(super) fn place(dma: u64, size: u16) -> Place {
    Place {
        size,
        descriptors: dma,
        available: dma + available_at(size) as u64,
        used: dma + used_at(size) as u64,
    }
}

/// Where a queue's parts are, for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many descriptors there are.
    pub size: u16,
    /// The descriptors.
    pub descriptors: u64,
    /// The ring that the driver writes.
    pub available: u64,
    /// The ring that the device writes.
    pub used: u64,
}

/// Who writes to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device reads it.
    ToDevice,
    /// The device writes it.
    FromDevice,
}

/// Whether the device should interrupt for what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// It should.
    Wanted,
    /// It need not.
    Spared,
}

/// The device says that it is done with something that it was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A queue.
pub struct Ring<W> {
    memory: Shared<W>,
    size: u16,
    direction: Direction,
    /// The packet of each chain, at its first descriptor, and what follows each descriptor in its chain.
    packets: Vec<Option<Packet>>,
    next: Vec<Option<u16>>,
    free: Vec<u16>,
    /// Packets that the device has of which parts are lent.
    lent: usize,
    /// The next entry of the available ring, and how far the device was told.
    next_available: u16,
    published: u16,
    /// The next entry of the used ring.
    next_used: u16,
}

impl<W: Window> Ring<W> {
    /// An empty queue of a power of two of descriptors, at most [`MAX_SIZE`], in cleared `memory` of [`SHARED_BYTES`].
    pub fn new(memory: Shared<W>, size: u16, direction: Direction) -> Self {
        Self {
            memory,
            size,
            direction,
            packets: (0..size).map(|_| None).collect(),
            next: (0..size).map(|_| None).collect(),
            free: (0..size).rev().collect(),
            lent: 0,
            next_available: 0,
            published: 0,
            next_used: 0,
        }
    }

    /// As it was at first, of a device that was reset.
    pub fn clear(&mut self) {
        for at in (0..SHARED_BYTES).step_by(2) {
            self.memory.window.write_u16(at, 0);
        }
        self.packets.iter_mut().for_each(|packet| *packet = None);
        self.next.fill(None);
        self.free = (0..self.size).rev().collect();
        self.lent = 0;
        (self.next_available, self.published, self.next_used) = (0, 0, 0);
    }

    /// Where its parts are.
    pub fn place(&self) -> Place {
        place(self.memory.dma, self.size)
    }

    /// How many packets could be given to the device now.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// How many the device has.
    pub fn outstanding(&self) -> usize {
        usize::from(self.size) - self.free.len()
    }

    /// How many packets the device has of which parts are lent.
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// Gives the device a packet to fill, of which it may use `bytes`; back if there is no room.
    pub fn add(&mut self, packet: Packet, bytes: usize) -> Result<(), Packet> {
        let Some(index) = self.free.pop() else {
            return Err(packet);
        };
        let flags = match self.direction {
            Direction::ToDevice => 0,
            Direction::FromDevice => WRITE,
        };
        self.write(index, packet.dma(), bytes, flags);
        self.offer(index, packet);
        Ok(())
    }

    /// Gives the device a packet to send, in as many descriptors as it has parts; back if there is no room.
    pub fn add_whole(&mut self, packet: Packet) -> Result<(), Packet> {
        if !packet.is_lent() {
            let bytes = packet.len();
            return self.add(packet, bytes);
        }
        if self.free.len() < packet.piece_count(usize::MAX) {
            return Err(packet);
        }
        let mut first = None;
        let mut before: Option<u16> = None;
        for (address, bytes) in packet.pieces(usize::MAX) {
            let Some(index) = self.free.pop() else {
                unreachable!("they were counted");
            };
            self.write(index, address, bytes, 0);
            if let Some(before) = before.replace(index) {
                let at = usize::from(before) * DESCRIPTOR_BYTES;
                self.memory.window.write_u16(at + 12, NEXT);
                self.memory.window.write_u16(at + 14, index);
                self.next[usize::from(before)] = Some(index);
            }
            first.get_or_insert(index);
        }
        if let Some(first) = first {
            self.lent += 1;
            self.offer(first, packet);
        }
        Ok(())
    }

    fn write(&mut self, index: u16, address: u64, bytes: usize, flags: u16) {
        let at = usize::from(index) * DESCRIPTOR_BYTES;
        let window = &mut self.memory.window;
        window.write_u64(at, address);
        window.write_u32(at + 8, bytes as u32);
        window.write_u16(at + 12, flags);
    }

    /// Makes the chain that starts at `index` available.
    fn offer(&mut self, index: u16, packet: Packet) {
        let window = &mut self.memory.window;
        let entry = usize::from(self.next_available % self.size) * AVAILABLE_BYTES;
        window.write_u16(available_at(self.size) + ENTRIES + entry, index);
        self.next_available = self.next_available.wrapping_add(1);
        self.packets[usize::from(index)] = Some(packet);
    }

    /// Shows the device what was added; true if it wants to be notified.
    pub fn publish(&mut self) -> bool {
        if self.published == self.next_available {
            return false;
        }
        // Descriptors and entries before the index.
        fence(Ordering::Release);
        let available = available_at(self.size);
        self.memory
            .window
            .write_u16(available + INDEX, self.next_available);
        self.published = self.next_available;
        // The index before the question (2.7.13.4.1).
        fence(Ordering::SeqCst);
        self.memory.window.read_u16(used_at(self.size) + FLAGS) & NO_NOTIFY == 0
    }

    /// Whether the device is done with another.
    pub fn has_used(&mut self) -> bool {
        let used = used_at(self.size);
        self.memory.window.read_u16(used + INDEX) != self.next_used
    }

    /// The next packet that the device is done with, and how many bytes it has written.
    pub fn take(&mut self) -> Result<Option<(Packet, usize)>, Broken> {
        if !self.has_used() {
            return Ok(None);
        }
        let used = used_at(self.size);
        let window = &mut self.memory.window;
        fence(Ordering::Acquire);
        let entry = used + ENTRIES + usize::from(self.next_used % self.size) * USED_BYTES;
        let (index, bytes) = (window.read_u32(entry), window.read_u32(entry + 4));
        let place = self.packets.get_mut(index as usize).ok_or(Broken)?;
        let packet = place.take().ok_or(Broken)?;
        self.lent -= usize::from(packet.is_lent());
        self.next_used = self.next_used.wrapping_add(1);
        let mut link = Some(index as u16);
        while let Some(index) = link {
            link = self.next[usize::from(index)].take();
            self.free.push(index);
        }
        Ok(Some((packet, bytes as usize)))
    }

    /// Says whether the device should interrupt. What it has used before it sees this may have no interrupt.
    pub fn set_interrupts(&mut self, interrupts: Interrupts) {
        let flags = match interrupts {
            Interrupts::Wanted => 0,
            Interrupts::Spared => NO_INTERRUPT,
        };
        let at = available_at(self.size) + FLAGS;
        self.memory.window.write_u16(at, flags);
        fence(Ordering::SeqCst);
    }
}
