//! All queues of one device: what the device reaches its driver through.

use super::chain::{Chain, Head};
use super::ring::Ring;
use super::slot::{Queue, SavedQueue};
use super::{Kick, Notice, Patience, RingFault};
use crate::features::Features;
use alloc::vec::Vec;
use guest_mem::GuestMemory;

/// The queues. A queue that does not exist or is not enabled is always empty. The first fault empties all of them until
/// the driver resets the device.
#[derive(Debug)]
pub struct Queues {
    queues: Vec<Queue>,
    fault: Option<RingFault>,
    /// Queues, a bit each, of which the driver may have to be told.
    completed: u64,
    /// The device's configuration space changed, and the driver was not told yet.
    changed: bool,
}

impl Queues {
    /// Queues of these maximum sizes, none enabled.
    pub fn new(max_sizes: &[u16]) -> Self {
        Self {
            queues: max_sizes.iter().map(|&size| Queue::new(size)).collect(),
            fault: None,
            completed: 0,
            changed: false,
        }
    }

    /// Opens a batch: [`Queues::take`] will give out what the driver has made available until now, and the driver will
    /// kick for whatever it adds later.
    #[inline]
    pub fn open(&mut self, index: usize, memory: &GuestMemory) {
        self.open_for(index, memory, Kick::First);
    }

    /// The same, with a say in when it will kick.
    #[inline]
    pub fn open_for(&mut self, index: usize, memory: &GuestMemory, kick: Kick) {
        if let Some(ring) = self.ring(index)
            && let Err(fault) = ring.open(memory, kick)
        {
            self.fail(fault);
        }
    }

    /// Takes the next chain of the batch into `chain`. Always inlined, as what it calls: of a frame's way this is a good part, and half of
    /// that would be calls.
    #[inline(always)]
    pub fn take(&mut self, index: usize, memory: &GuestMemory, chain: &mut Chain) -> Option<Head> {
        match self.ring(index)?.take(memory, chain) {
            Ok(head) => head,
            Err(fault) => {
                self.fail(fault);
                None
            }
        }
    }

    /// Puts the chain that was taken last back at the front of its batch.
    pub fn put_back(&mut self, index: usize, _head: Head) {
        if let Some(ring) = self.ring(index) {
            ring.put_back();
        }
    }

    /// Takes a chain again that was taken, and not completed, before the device was saved.
    pub fn retake(
        &mut self,
        index: usize,
        memory: &GuestMemory,
        head: u16,
        chain: &mut Chain,
    ) -> Option<Head> {
        match self.ring(index)?.walk(memory, head, chain) {
            Ok(()) => Some(Head(head)),
            Err(fault) => {
                self.fail(fault);
                None
            }
        }
    }

    /// Gives a chain back, with the number of bytes written from its first writable byte on.
    #[inline(always)]
    pub fn complete(&mut self, index: usize, memory: &GuestMemory, head: Head, bytes: u32) {
        self.completed |= 1 << index;
        if let Some(ring) = self.ring(index)
            && let Err(fault) = ring.complete(memory, head, bytes)
        {
            self.fail(fault);
        }
    }

    /// Stops the device: the driver broke the rules. The first fault is kept.
    #[cold]
    pub fn fail(&mut self, fault: RingFault) {
        self.fault.get_or_insert(fault);
    }

    /// Why the device stopped, if it did.
    pub fn fault(&self) -> Option<RingFault> {
        self.fault
    }

    /// The device changed its configuration space on its own: the driver is to hear of it (2.5).
    pub fn configuration_changed(&mut self) {
        self.changed = true;
    }

    /// Whether it did since the last call.
    #[inline]
    pub(crate) fn take_configuration_change(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.queues.len()
    }

    /// One queue's registers.
    pub fn get(&self, index: usize) -> Option<&Queue> {
        self.queues.get(index)
    }

    /// One queue's registers, to program.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Queue> {
        self.queues.get_mut(index)
    }

    /// Starts a queue as programmed. A wrong program is a fault.
    pub(crate) fn enable(&mut self, index: usize, features: Features) {
        if let Some(queue) = self.queues.get_mut(index)
            && !queue.enabled()
            && let Err(fault) = queue.enable(features)
        {
            self.fail(fault);
        }
    }

    /// Starts or stops a queue the legacy way.
    pub(crate) fn enable_legacy(&mut self, index: usize, frame: u32, features: Features) {
        if let Some(queue) = self.queues.get_mut(index) {
            queue.enable_legacy(frame, features);
        }
    }

    /// The queues, a bit each, that have completed something since the last call.
    #[inline]
    pub(crate) fn take_completed(&mut self) -> u64 {
        core::mem::take(&mut self.completed)
    }

    /// Shows the driver what a queue completed.
    #[inline(always)]
    pub(crate) fn publish(
        &mut self,
        index: usize,
        memory: &GuestMemory,
        patience: Patience,
    ) -> Notice {
        let Some(ring) = self.ring(index) else {
            return Notice::Quiet;
        };
        ring.publish(memory, patience).unwrap_or_else(|fault| {
            self.fail(fault);
            Notice::Quiet
        })
    }

    /// All queues as never programmed.
    pub(crate) fn reset(&mut self) {
        self.queues.iter_mut().for_each(Queue::reset);
        self.fault = None;
        self.completed = 0;
        self.changed = false;
    }

    pub(crate) fn save(&self) -> Vec<SavedQueue> {
        self.queues.iter().map(Queue::save).collect()
    }

    /// Queues like these with a saved state; `None` if it has another number of queues.
    pub(crate) fn resumed(
        &self,
        saved: &[SavedQueue],
        features: Features,
    ) -> Option<Result<Self, RingFault>> {
        if saved.len() != self.queues.len() {
            return None;
        }
        let queues = self.queues.iter().zip(saved);
        let queues = queues.map(|(queue, saved)| Queue::resumed(queue.max_size(), saved, features));
        Some(queues.collect::<Result<_, _>>().map(|queues| Self {
            queues,
            fault: None,
            completed: u64::MAX >> (64 - saved.len()),
            changed: false,
        }))
    }

    #[inline]
    fn ring(&mut self, index: usize) -> Option<&mut Ring> {
        if self.fault.is_some() {
            return None;
        }
        self.queues.get_mut(index)?.ring.as_mut()
    }
}
