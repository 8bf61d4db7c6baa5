//! Frames whose payload the driver's memory keeps until the card has fetched it: which entries of the transmit queues they have.
//!
//! An entry is the driver's again only when the frame is done with, be it sent or lost; then the cable returns its ticket. A device that
//! was reset is not done with it before all have come back.

use crate::queue::{Head, MAX_SIZE, Queues};
use alloc::vec::Vec;
use guest_mem::GuestMemory;
use hvm::backend::Ethernet;

/// The entries, by queue pair and first descriptor.
#[derive(Debug, Default)]
pub struct Loans {
    heads: Vec<Option<Head>>,
    out: usize,
    /// Entries of a device that was saved: what became of their frames does not matter any more.
    left_over: Vec<(u16, u16)>,
}

impl Loans {
    /// For a card with so many pairs of queues.
    pub fn new(pairs: u16) -> Self {
        let count = usize::from(pairs) * usize::from(MAX_SIZE);
        Self {
            heads: (0..count).map(|_| None).collect(),
            ..Self::default()
        }
    }

    /// The ticket of an entry.
    pub fn ticket(pair: u16, head: &Head) -> u32 {
        u32::from(pair) * u32::from(MAX_SIZE) + u32::from(head.index())
    }

    /// Keeps an entry until its ticket is returned.
    pub fn keep(&mut self, ticket: u32, head: Head) {
        if let Some(place) = self.heads.get_mut(ticket as usize) {
            *place = Some(head);
            self.out += 1;
        }
    }

    /// Gives the driver back what is done with.
    #[inline]
    pub fn settle(&mut self, cable: &mut dyn Ethernet, queues: &mut Queues, memory: &GuestMemory) {
        while self.out > 0
            && let Some(ticket) = cable.returned()
        {
            self.out -= 1;
            if let Some(head) = self.heads.get_mut(ticket as usize).and_then(Option::take) {
                let pair = ticket as u16 / MAX_SIZE;
                queues.complete(super::transmit_queue(pair), memory, head, 0);
            }
        }
        if !self.left_over.is_empty() {
            self.finish(queues, memory);
        }
    }

    #[cold]
    fn finish(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        let mut chain = crate::queue::Chain::new();
        for (pair, head) in core::mem::take(&mut self.left_over) {
            let queue = super::transmit_queue(pair);
            if let Some(head) = queues.retake(queue, memory, head, &mut chain) {
                queues.complete(queue, memory, head, 0);
            }
        }
    }

    /// Whether there is nothing to give back.
    #[inline]
    pub fn are_settled(&self) -> bool {
        self.out == 0 && self.left_over.is_empty()
    }

    /// The driver has forgotten its entries; their tickets are still awaited.
    pub fn forget(&mut self) {
        self.heads.iter_mut().for_each(|head| *head = None);
        self.left_over.clear();
    }

    /// Whether nothing is under way.
    pub fn are_back(&mut self, cable: &mut dyn Ethernet) -> bool {
        while self.out > 0 && cable.returned().is_some() {
            self.out -= 1;
        }
        self.out == 0
    }

    /// The entries that the driver does not have back: pair, first descriptor.
    pub fn save(&self) -> Vec<(u16, u16)> {
        let under_way = self.heads.iter().enumerate();
        let under_way = under_way.filter_map(|(ticket, head)| {
            let head = head.as_ref()?;
            Some((ticket as u16 / MAX_SIZE, head.index()))
        });
        under_way.chain(self.left_over.iter().copied()).collect()
    }

    /// Takes entries that were saved over, to give them back when there is a turn.
    pub fn restore(&mut self, left_over: Vec<(u16, u16)>) {
        self.forget();
        self.left_over = left_over;
    }
}
