//! Arriving messages (SDM vol. 3A, 11.6.2 and 11.8).

use super::Lapic;
use super::bits::{BASE_BSP, ERROR_RECEIVE_VECTOR};
use hvm::apic::{ApicMessage, Delivery, Trigger};

/// Vectors below are illegal (11.5.2).
pub(super) const FIRST_VECTOR: u8 = 16;

/// What a message asks of the virtual CPU beyond its APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Nothing came of it.
    Nothing,
    /// A vector was requested: see [`Lapic::pending`].
    Vector,
    /// A non-maskable interrupt.
    Nmi,
    /// INIT; the caller resets the CPU and calls [`Lapic::init`].
    Init,
    /// Start at page `0..=255`, if the CPU waits for it.
    StartUp(u8),
    /// Ask the 8259s.
    ExtInt,
}

impl Lapic {
    /// Takes a message that [`Lapic::matches`]. A software-disabled APIC takes all but vectors (11.4.7.2).
    #[inline]
    pub fn accept(&mut self, message: &ApicMessage) -> Accepted {
        match message.delivery {
            Delivery::Fixed | Delivery::LowestPriority => {
                if !self.enabled() || !self.software_enabled() {
                    return Accepted::Nothing;
                }
                self.request(message.vector, message.trigger)
            }
            Delivery::Smi => Accepted::Nothing,
            Delivery::Nmi => Accepted::Nmi,
            Delivery::Init => Accepted::Init,
            Delivery::StartUp => Accepted::StartUp(message.vector),
            Delivery::ExtInt => Accepted::ExtInt,
        }
    }

    /// Takes a fixed message whose destination was looked at before.
    pub fn accept_vector(&mut self, vector: u8, trigger: Trigger) {
        if self.enabled() && self.software_enabled() {
            self.request(vector, trigger);
        }
    }

    /// Requests a vector.
    #[inline]
    pub(super) fn request(&mut self, vector: u8, trigger: Trigger) -> Accepted {
        if vector < FIRST_VECTOR {
            self.error(ERROR_RECEIVE_VECTOR);
            return Accepted::Nothing;
        }
        self.irr.set(vector);
        match trigger {
            Trigger::Edge => self.tmr.clear(vector),
            Trigger::Level => self.tmr.set(vector),
        }
        Accepted::Vector
    }

    /// The bits of IA32_APIC_BASE that software cannot change.
    pub(super) fn base_fixed(&self) -> u64 {
        self.base & BASE_BSP
    }
}
