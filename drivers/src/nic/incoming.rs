//! The books of a ring of receive descriptors: which are the card's, and the packet of each, until the card has filled it. What descriptors
//! look like is the drivers' affair.

use super::span::Span;
use alloc::vec::Vec;
use hvm::packet::Packet;

/// Whether a frame's last byte is in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It is.
    Ends,
    /// The frame goes on in the next descriptor.
    GoesOn,
}

/// The books of a ring of `SIZE` descriptors.
#[derive(Debug)]
pub struct Incoming<const SIZE: usize> {
    packets: Vec<Option<Packet>>,
    span: Span<SIZE>,
    /// What the frame of the descriptor before the oldest did there.
    before: Extent,
    received: u32,
    damaged: u64,
}

impl<const SIZE: usize> Incoming<SIZE> {
    /// An empty ring.
    pub fn new() -> Self {
        Self {
            packets: (0..SIZE).map(|_| None).collect(),
            span: Span::default(),
            before: Extent::Ends,
            received: 0,
            damaged: 0,
        }
    }

    /// Lets go of all packets. What was counted stays.
    pub fn clear(&mut self) {
        let (received, damaged) = (self.received, self.damaged);
        *self = Self {
            received,
            damaged,
            ..Self::new()
        };
    }

    /// The next descriptor to be given a packet.
    #[inline]
    pub fn next(&self) -> usize {
        self.span.next()
    }

    /// The descriptor that the card fills next, if it has one.
    #[inline]
    pub fn due(&self) -> Option<usize> {
        (self.outstanding() > 0).then_some(self.span.oldest())
    }

    /// How many the card has.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.span.outstanding()
    }

    /// The next descriptor has this packet, and is the card's.
    #[inline]
    pub fn fill(&mut self, packet: Packet) {
        let index = self.span.hand_over();
        self.packets[index] = Some(packet);
    }

    /// The card is done with the descriptor that was due. Its frame, of so many `bytes`, or `None` if it is damaged; frames in pieces are
    /// dropped up to their end, as buffers hold the longest there should be.
    #[inline]
    pub fn take(&mut self, extent: Extent, bytes: Option<usize>) -> Option<Packet> {
        let packet = self.packets[self.span.take_back()].take();
        self.received = self.received.wrapping_add(1);
        let before = core::mem::replace(&mut self.before, extent);
        match bytes {
            Some(bytes) if before == Extent::Ends && extent == Extent::Ends => {
                packet.map(|mut packet| {
                    packet.set_len(bytes);
                    packet
                })
            }
            _ => {
                self.damaged += u64::from(extent == Extent::Ends);
                None
            }
        }
    }

    /// Descriptors that the card was done with, ever.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Frames that were dropped.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::Pool;

    #[test]
    fn a_frame_in_pieces_is_dropped_up_to_its_end_and_counted_once() {
        let pool = Pool::ordinary(8, 256);
        let mut ring = Incoming::<4>::new();
        assert_eq!(ring.due(), None);
        let arrivals = [
            (Extent::GoesOn, Some(128)),
            (Extent::GoesOn, Some(128)),
            (Extent::Ends, Some(60)),
            (Extent::Ends, Some(61)),
            (Extent::Ends, None),
            (Extent::Ends, Some(62)),
        ];
        let lengths = arrivals.map(|(extent, bytes)| {
            ring.fill(pool.packet().unwrap());
            assert!(ring.due().is_some());
            ring.take(extent, bytes).map(|packet| packet.len())
        });
        assert_eq!(lengths, [None, None, None, Some(61), None, Some(62)]);
        assert_eq!((ring.received(), ring.damaged()), (6, 2));
        assert_eq!(pool.available(), 8);
    }

    #[test]
    fn a_ring_that_is_cleared_keeps_its_counts_alone() {
        let pool = Pool::ordinary(4, 256);
        let mut ring = Incoming::<4>::new();
        for _ in 0..4 {
            ring.fill(pool.packet().unwrap());
        }
        assert_eq!((ring.next(), ring.outstanding()), (0, 4));
        assert!(ring.take(Extent::GoesOn, Some(60)).is_none());
        ring.clear();
        assert_eq!(pool.available(), 4);
        assert_eq!((ring.next(), ring.outstanding(), ring.due()), (0, 0, None));
        assert_eq!(ring.received(), 1);
        ring.fill(pool.packet().unwrap());
        assert_eq!(ring.due(), Some(0));
        assert!(ring.take(Extent::Ends, Some(60)).is_some());
    }
}
