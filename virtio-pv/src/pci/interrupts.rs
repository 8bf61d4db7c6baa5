//! How a virtio function interrupts: ISR status and INTx, or MSI-X vectors (virtio 1.2, 4.1.4.5 and 4.1.5.1.2).

use super::bits::{ISR_CONFIG, ISR_QUEUE, NO_VECTOR};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use hvm::device::{RestoreError, Signals};
use hvm::msix::{Msix, SavedMsix};
use serde::{Deserialize, Serialize};

/// The interrupt side of one function.
#[derive(Debug)]
pub(super) struct Interrupts {
    pub(super) msix: Msix,
    /// Cleared by reading it, which PCI configuration reads can do too: hence the cell.
    isr: Cell<u8>,
    config_vector: u16,
    queue_vectors: Vec<u16>,
}

impl Interrupts {
    pub(super) fn new(msix: Msix, queues: usize) -> Self {
        Self {
            msix,
            isr: Cell::new(0),
            config_vector: NO_VECTOR,
            queue_vectors: vec![NO_VECTOR; queues],
        }
    }

    /// Reset by the driver: what it set is forgotten; the MSI-X table is the PCI core's.
    pub(super) fn reset(&mut self) {
        self.isr.set(0);
        self.config_vector = NO_VECTOR;
        self.queue_vectors.fill(NO_VECTOR);
    }

    /// A queue was used.
    #[inline]
    pub(super) fn queue(&mut self, index: usize, signals: &mut dyn Signals) {
        if self.msix.enabled() {
            let vector = self.queue_vectors.get(index).copied();
            self.msix.raise(vector.unwrap_or(NO_VECTOR), signals);
        } else {
            self.isr.set(self.isr.get() | ISR_QUEUE);
        }
    }

    /// Configuration or status changed.
    pub(super) fn config(&mut self, signals: &mut dyn Signals) {
        if self.msix.enabled() {
            self.msix.raise(self.config_vector, signals);
        } else {
            self.isr.set(self.isr.get() | ISR_CONFIG);
        }
    }

    /// Reads ISR status, which clears it and so lowers INTx.
    pub(super) fn acknowledge(&self) -> u8 {
        self.isr.replace(0)
    }

    /// True while the function asks for INTx.
    #[inline]
    pub(super) fn intx(&self) -> bool {
        self.isr.get() != 0 && !self.msix.enabled()
    }

    pub(super) fn config_vector(&self) -> u16 {
        self.config_vector
    }

    pub(super) fn set_config_vector(&mut self, vector: u16) {
        self.config_vector = self.checked(vector);
    }

    pub(super) fn queue_vector(&self, queue: u16) -> u16 {
        let vector = self.queue_vectors.get(usize::from(queue)).copied();
        vector.unwrap_or(NO_VECTOR)
    }

    pub(super) fn set_queue_vector(&mut self, queue: u16, vector: u16) {
        let vector = self.checked(vector);
        if let Some(place) = self.queue_vectors.get_mut(usize::from(queue)) {
            *place = vector;
        }
    }

    /// A vector that does not exist reads back as "none": so the driver learns of it (4.1.5.1.2.1).
    fn checked(&self, vector: u16) -> u16 {
        if vector < self.msix.vectors() {
            vector
        } else {
            NO_VECTOR
        }
    }

    pub(super) fn save(&self) -> SavedInterrupts {
        SavedInterrupts {
            msix: self.msix.save(),
            isr: self.isr.get(),
            config_vector: self.config_vector,
            queue_vectors: self.queue_vectors.clone(),
        }
    }

    /// The interrupt side with a saved state.
    pub(super) fn resumed(&self, saved: SavedInterrupts) -> Result<Self, RestoreError> {
        let mut fresh = Self::new(self.msix.clone(), self.queue_vectors.len());
        fresh.msix.restore(saved.msix)?;
        fresh.isr.set(saved.isr & (ISR_QUEUE | ISR_CONFIG));
        fresh.set_config_vector(saved.config_vector);
        for (queue, &vector) in (0..).zip(&saved.queue_vectors) {
            fresh.set_queue_vector(queue, vector);
        }
        Ok(fresh)
    }
}

/// The state of [`Interrupts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedInterrupts {
    msix: SavedMsix,
    isr: u8,
    config_vector: u16,
    queue_vectors: Vec<u16>,
}
