//! The books of a ring of transmit descriptors: which are the card's, and the packet of each frame, at its last descriptor, until the card is
//! done with that. What descriptors look like is the drivers' affair.

use alloc::vec::Vec;
use hvm::packet::Packet;

/// The books of a ring of `SIZE` descriptors.
#[derive(Debug)]
pub struct Outgoing<const SIZE: usize> {
    packets: Vec<Option<Packet>>,
    /// The oldest descriptor that may still be on its way; how many are; the next to be filled.
    oldest: usize,
    outstanding: usize,
    next: usize,
    /// Packets of which parts are lent: those who lent them wait.
    lent: usize,
}

impl<const SIZE: usize> Outgoing<SIZE> {
    /// An empty ring.
    pub fn new() -> Self {
        Self {
            packets: (0..SIZE).map(|_| None).collect(),
            oldest: 0,
            outstanding: 0,
            next: 0,
            lent: 0,
        }
    }

    /// The next descriptor to be filled.
    pub fn next(&self) -> usize {
        self.next
    }

    /// The oldest that may still be on its way.
    pub fn oldest(&self) -> usize {
        self.oldest
    }

    /// How many may be on their way.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many packets there are of which parts are lent.
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// The next descriptor was filled.
    pub fn fill(&mut self) {
        self.next = (self.next + 1) % SIZE;
        self.outstanding += 1;
    }

    /// Keeps a frame until the card is done with its last descriptor, the one that was just filled.
    pub fn keep(&mut self, packet: Packet) {
        self.lent += usize::from(packet.is_lent());
        self.packets[(self.next + SIZE - 1) % SIZE] = Some(packet);
    }

    /// The card is done with the oldest descriptor.
    pub fn let_go(&mut self) {
        if let Some(packet) = self.packets[self.oldest].take() {
            self.lent -= usize::from(packet.is_lent());
        }
        self.oldest = (self.oldest + 1) % SIZE;
        self.outstanding -= 1;
    }

    /// How far the first descriptor that ends a frame is behind the oldest; and which it is.
    pub fn first_end(&self) -> Option<(usize, usize)> {
        (0..self.outstanding)
            .map(|ahead| (ahead, (self.oldest + ahead) % SIZE))
            .find(|(_, index)| self.packets[*index].is_some())
    }

    /// The packets, in any order.
    #[cfg(test)]
    pub fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.packets.iter().flatten()
    }
}
