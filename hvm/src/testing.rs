//! What tests of devices plug into them. With the feature `testing` alone.

use crate::backend::{Ethernet, Link};
use crate::packet::{Lender, Packet, Pool};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::take;
use std::sync::{Mutex, MutexGuard};

/// What is on its way in both directions on a [`Cable`].
#[derive(Debug)]
pub struct Wire {
    /// What comes to the card.
    pub to_card: VecDeque<Packet>,
    /// What it has sent.
    pub from_card: Vec<Packet>,
    /// How many more of its frames there is room for.
    pub room: usize,
    /// Whether there is somebody at the other end.
    pub link: Link,
    /// Whether the card may lend.
    pub borrows: bool,
}

/// A cable for a network card, whose other end is in the test's hand.
#[derive(Clone, Debug)]
pub struct Cable {
    pool: &'static Pool,
    wire: Arc<Mutex<Wire>>,
    /// Where tickets come back, for ever: packets may outlive the cable.
    desk: &'static Desk,
}

#[derive(Debug, Default)]
struct Desk(Mutex<VecDeque<u32>>);

impl Lender for Desk {
    fn take_back(&self, ticket: u32) {
        held(&self.0).push_back(ticket);
    }
}

impl Cable {
    /// One for packets of `pool`, with room for all that comes.
    pub fn new(pool: &'static Pool) -> Self {
        let wire = Wire {
            to_card: VecDeque::new(),
            from_card: Vec::new(),
            room: usize::MAX,
            link: Link::Up,
            borrows: false,
        };
        Self {
            pool,
            wire: Arc::new(Mutex::new(wire)),
            desk: Box::leak(Box::default()),
        }
    }

    /// The wire, while nobody else has it.
    pub fn wire(&self) -> MutexGuard<'_, Wire> {
        held(&self.wire)
    }

    /// Sends a frame to the card, which is to be polled then.
    ///
    /// # Panics
    ///
    /// Where the pool has no packet for it.
    pub fn put(&self, frame: &[u8]) {
        let packet = self.pool.copy_of(frame);
        self.wire()
            .to_card
            .push_back(packet.expect("a packet for a frame"));
    }

    /// What the card has sent since the last time.
    pub fn packets(&self) -> Vec<Packet> {
        take(&mut self.wire().from_card)
    }

    /// The frames of those, as they are.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let packets = self.packets();
        packets
            .iter()
            .map(|packet| packet.frame().to_vec())
            .collect()
    }
}

/// A test that failed with it has told why.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Ethernet for Cable {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        self.pool.packet()
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        let mut wire = self.wire();
        if wire.room == 0 {
            return Err(packet);
        }
        wire.room -= 1;
        wire.from_card.push(packet);
        Ok(())
    }

    fn receive(&mut self) -> Option<Packet> {
        self.wire().to_card.pop_front()
    }

    fn link(&self) -> Link {
        self.wire().link
    }

    fn borrows(&self) -> bool {
        self.wire().borrows
    }

    fn set_ticket(&self, packet: &mut Packet, ticket: u32) {
        packet.set_lender(self.desk, ticket);
    }

    fn returned(&mut self) -> Option<u32> {
        held(&self.desk.0).pop_front()
    }
}
