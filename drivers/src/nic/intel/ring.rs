//! The rings of the controllers, one each way, of descriptors of 16 bytes: where they are, and whose descriptors are whose. What descriptors
//! look like is the drivers' affair.

use super::bits::*;
use crate::nic::incoming::Incoming;
use crate::nic::outgoing::Outgoing;
use crate::window::{Shared, Window};
use core::sync::atomic::{Ordering, fence};
use hvm::packet::Pool;

/// Descriptors of each ring; the length in bytes is a multiple of 128, as it must be.
pub const RING: usize = 256;
/// Bytes of a descriptor.
pub const DESCRIPTOR_BYTES: usize = 16;
/// Bytes of ring memory that a card needs; its address is a multiple of 128.
pub const SHARED_BYTES: usize = 2 * RING_BYTES;
/// Where the receive ring is in it.
pub const RX_RING: usize = 0;
/// And the transmit ring.
pub const TX_RING: usize = RING_BYTES;

const RING_BYTES: usize = RING * DESCRIPTOR_BYTES;
/// Descriptors in use from which on it matters to be told of sent frames.
const CROWDED: usize = RING / 2;

/// Descriptors that have to be without a packet before the card is given new ones, since it is told by a register.
const BATCH: usize = 16;

/// A descriptor's dwords.
pub type Words = [u32; 4];

/// Both rings.
pub struct Rings<W> {
    /// Their memory.
    pub memory: Shared<W>,
    /// What the card fills.
    pub receiving: Incoming<RING>,
    /// What is on its way.
    pub sending: Outgoing<RING>,
    /// The transmit tail that the card knows.
    started: usize,
}

impl<W: Window> Rings<W> {
    /// Empty rings in `memory` of [`SHARED_BYTES`].
    pub fn new(memory: Shared<W>) -> Self {
        Self {
            memory,
            receiving: Incoming::new(),
            sending: Outgoing::new(),
            started: 0,
        }
    }

    /// Lets go of all packets: after a reset the card knows none.
    pub fn clear(&mut self) {
        self.receiving.clear();
        self.sending = Outgoing::new();
        self.started = 0;
    }

    /// Tells a card that was reset where they are (8254x, 14.4 and 14.5; 82576, 4.5.9 and 4.5.10).
    pub fn place(&self, registers: &mut impl Window) {
        let rings = [
            (RDBAL, RDLEN, RDH, RDT, RX_RING),
            (TDBAL, TDLEN, TDH, TDT, TX_RING),
        ];
        for (base, length, head, tail, place) in rings {
            registers.write_u64(base, self.memory.dma + place as u64);
            registers.write_u32(length, RING_BYTES as u32);
            registers.write_u32(head, 0);
            registers.write_u32(tail, 0);
        }
    }

    /// Gives the card all descriptors but one, the head catching up with the tail meaning an empty ring; not for the sake of a few.
    #[inline]
    pub fn refill(&mut self, registers: &mut impl Window, pool: &'static Pool) {
        if self.receiving.outstanding() + BATCH < RING {
            self.fill(registers, pool);
        }
    }

    fn fill(&mut self, registers: &mut impl Window, pool: &'static Pool) {
        let before = self.receiving.next();
        while self.receiving.outstanding() < RING - 1
            && let Some(packet) = pool.packet()
        {
            let at = RX_RING + self.receiving.next() * DESCRIPTOR_BYTES;
            self.memory.window.write_u64(at, packet.dma());
            // Legacy descriptors have length and status here, advanced ones the address for a header, whose lowest bit becomes the status' (82576,
            // 7.1.5).
            self.memory.window.write_u64(at + 8, 0);
            self.receiving.fill(packet);
        }
        let next = self.receiving.next();
        if next != before {
            fence(Ordering::Release);
            registers.write_u32(RDT, next as u32);
        }
    }

    /// Transmit descriptors that may be filled.
    #[inline]
    pub fn free(&self) -> usize {
        RING - 1 - self.sending.outstanding()
    }

    /// Fills the next transmit descriptor. There is one.
    #[inline]
    pub fn put(&mut self, words: Words) {
        let at = TX_RING + self.sending.next() * DESCRIPTOR_BYTES;
        for (index, word) in words.into_iter().enumerate() {
            self.memory.window.write_u32(at + 4 * index, word);
        }
        self.sending.fill();
    }

    /// Starts what was filled.
    #[inline]
    pub fn start(&mut self, registers: &mut impl Window) {
        if self.started != self.sending.next() {
            self.started = self.sending.next();
            fence(Ordering::Release);
            registers.write_u32(TDT, self.started as u32);
        }
    }

    /// Whether it matters to be told of sent frames.
    #[inline]
    pub fn is_waited_for(&self) -> bool {
        self.sending.outstanding() >= CROWDED || self.sending.lent() > 0
    }
}
