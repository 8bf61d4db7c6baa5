//! One queue: the registers that a driver programs, and the ring that runs once it enabled them.

use super::ring::Ring;
use super::{Placement, RingFault, RingSize};
use crate::features::Features;
use guest_mem::Gpa;
use serde::{Deserialize, Serialize};

/// What the driver wrote: allegations until the queue is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// Entries.
    pub size: u16,
    /// Address of the descriptor table.
    pub descriptors: u64,
    /// Address of the available ring.
    pub available: u64,
    /// Address of the used ring.
    pub used: u64,
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    max_size: u16,
    registers: Registers,
    pub(super) ring: Option<Ring>,
}

impl Queue {
    pub(super) fn new(max_size: u16) -> Self {
        let mut queue = Self {
            max_size,
            registers: Registers {
                size: 0,
                descriptors: 0,
                available: 0,
                used: 0,
            },
            ring: None,
        };
        queue.reset();
        queue
    }

    /// As never programmed.
    pub(super) fn reset(&mut self) {
        self.ring = None;
        self.registers = Registers {
            size: self.max_size,
            descriptors: 0,
            available: 0,
            used: 0,
        };
    }

    /// The size that we offer.
    pub fn max_size(&self) -> u16 {
        self.max_size
    }

    /// What the driver wrote.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// The registers to write, while the queue is not enabled.
    pub fn registers_mut(&mut self) -> Option<&mut Registers> {
        self.ring.is_none().then_some(&mut self.registers)
    }

    /// True once the queue runs.
    pub fn enabled(&self) -> bool {
        self.ring.is_some()
    }

    /// Starts the ring at the addresses in the registers.
    pub(super) fn enable(&mut self, features: Features) -> Result<(), RingFault> {
        let place = self.place()?;
        self.ring = Some(Ring::new(place, features));
        Ok(())
    }

    /// Starts the ring in the legacy layout at page `frame`; page 0 stops it (4.1.4.10).
    pub(super) fn enable_legacy(&mut self, frame: u32, features: Features) {
        self.reset();
        if let (Some(size), 1..) = (RingSize::new(self.max_size), frame) {
            let place = Placement::legacy(size, frame);
            self.registers = Registers {
                size: size.entries(),
                descriptors: place.descriptors.0,
                available: place.available.0,
                used: place.used.0,
            };
            self.ring = Some(Ring::new(place, features));
        }
    }

    fn place(&self) -> Result<Placement, RingFault> {
        let registers = &self.registers;
        if registers.size > self.max_size {
            return Err(RingFault::Placement {
                size: registers.size,
            });
        }
        Placement::new(
            registers.size,
            Gpa(registers.descriptors),
            Gpa(registers.available),
            Gpa(registers.used),
        )
    }

    /// The state of the queue.
    pub(super) fn save(&self) -> SavedQueue {
        SavedQueue {
            registers: self.registers,
            indices: self.ring.as_ref().map(Ring::indices),
        }
    }

    /// A queue with a saved state; the state is checked as a driver's own writes are.
    pub(super) fn resumed(
        max_size: u16,
        saved: &SavedQueue,
        features: Features,
    ) -> Result<Self, RingFault> {
        let mut queue = Self::new(max_size);
        queue.registers = saved.registers;
        if let Some((next_available, next_used)) = saved.indices {
            let place = queue.place()?;
            if next_available.wrapping_sub(next_used) > place.size.entries() {
                return Err(RingFault::Overcommitted);
            }
            queue.ring = Some(Ring::resumed(place, features, next_available, next_used));
        }
        Ok(queue)
    }
}

/// A queue's state: its registers, and the next available and used index if it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueue {
    registers: Registers,
    indices: Option<(u16, u16)>,
}
