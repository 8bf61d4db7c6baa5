//! Arriving messages (SDM vol. 3A, 11.6.2 and 11.8).

use super::Lapic;
use super::bits::{BASE_BSP, DFR_MODEL, ERROR_RECEIVE_VECTOR};
use hvm::apic::{ApicMessage, Delivery, Destination, DestinationMode, Trigger};

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
    /// True if a message with that destination is for this APIC; `from_self` says that this APIC sent it.
    #[inline]
    pub fn matches(&self, destination: &Destination, from_self: bool) -> bool {
        if !self.enabled() {
            return false;
        }
        match *destination {
            Destination::Myself => from_self,
            Destination::All => true,
            Destination::Others => !from_self,
            Destination::Field { value, mode } => match mode {
                DestinationMode::Physical => self.matches_physical(value),
                DestinationMode::Logical => self.matches_logical(value),
            },
        }
    }

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

    /// The messages of I/O APICs and of xAPIC senders carry eight bits, so FFh is broadcast whatever our own mode is; no CPU has id 255.
    fn matches_physical(&self, value: u32) -> bool {
        value == self.id || value == 0xff || value == u32::MAX
    }

    /// By the logical id: flat, cluster or x2APIC (11.6.2.2, 11.12.10.2).
    fn matches_logical(&self, value: u32) -> bool {
        if self.x2apic() {
            let own = self.logical_x2apic();
            return value == u32::MAX || value >> 16 == own >> 16 && value & own & 0xffff != 0;
        }
        let (value, own) = (value & 0xff, self.logical >> 24);
        if value == 0xff {
            return true;
        }
        if self.format & DFR_MODEL == DFR_MODEL {
            value & own != 0
        } else {
            value >> 4 == own >> 4 && value & own & 0xf != 0
        }
    }

    /// Cluster in the high half, a bit in the low one.
    pub(super) fn logical_x2apic(&self) -> u32 {
        (self.id & 0xf_fff0) << 12 | 1 << (self.id & 0xf)
    }

    /// The bits of IA32_APIC_BASE that software cannot change.
    pub(super) fn base_fixed(&self) -> u64 {
        self.base & BASE_BSP
    }
}
