//! The books of a ring of transmit descriptors: which are the card's, and the packet of each frame, at its last descriptor, until the card is
//! done with that. What descriptors look like is the drivers' affair.

use super::span::Span;
use alloc::vec::Vec;
use hvm::packet::Packet;

/// The books of a ring of `SIZE` descriptors.
#[derive(Debug)]
pub struct Outgoing<const SIZE: usize> {
    packets: Vec<Option<Packet>>,
    /// Those that may still be on their way.
    span: Span<SIZE>,
    /// Packets of which parts are lent: those who lent them wait.
    lent: usize,
}

impl<const SIZE: usize> Outgoing<SIZE> {
    /// An empty ring.
    pub fn new() -> Self {
        Self {
            packets: (0..SIZE).map(|_| None).collect(),
            span: Span::default(),
            lent: 0,
        }
    }

    /// The next descriptor to be filled.
    pub fn next(&self) -> usize {
        self.span.next()
    }

    /// The oldest that may still be on its way.
    pub fn oldest(&self) -> usize {
        self.span.oldest()
    }

    /// How many may be on their way.
    pub fn outstanding(&self) -> usize {
        self.span.outstanding()
    }

    /// How many packets there are of which parts are lent.
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// The next descriptor was filled.
    pub fn fill(&mut self) {
        self.span.hand_over();
    }

    /// Keeps a frame until the card is done with its last descriptor, the one that was just filled.
    pub fn keep(&mut self, packet: Packet) {
        self.lent += usize::from(packet.is_lent());
        let filled = (self.next() + SIZE - 1) % SIZE;
        self.packets[filled] = Some(packet);
    }

    /// The card is done with the oldest descriptor.
    pub fn let_go(&mut self) {
        if let Some(packet) = self.packets[self.span.take_back()].take() {
            self.lent -= usize::from(packet.is_lent());
        }
    }

    /// How far the first descriptor that ends a frame is behind the oldest; and which it is.
    pub fn first_end(&self) -> Option<(usize, usize)> {
        (0..self.outstanding())
            .map(|ahead| (ahead, (self.oldest() + ahead) % SIZE))
            .find(|(_, index)| self.packets[*index].is_some())
    }

    /// The packets, in any order.
    #[cfg(test)]
    pub fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.packets.iter().flatten()
    }
}
