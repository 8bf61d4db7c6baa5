//! Messages between interrupt controllers, as the APIC bus carries them (SDM vol. 3A, 11.6.1 and 11.11; APM vol. 2, 16).

use core::sync::atomic::{AtomicU32, Ordering};
use serde::{Deserialize, Serialize};

/// How the destination field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DestinationMode {
    /// An APIC id.
    Physical,
    /// A set, matched against each APIC's logical id.
    Logical,
}

/// What arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// A vector, to every CPU named.
    Fixed,
    /// A vector, to one of the CPUs named.
    LowestPriority,
    /// System management interrupt; ignored (we offer no SMM).
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up, with the vector as page number.
    StartUp,
    /// "Ask the 8259".
    ExtInt,
}

/// Edge or level; a level-triggered vector's EOI is told to the I/O APICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// Edge.
    Edge,
    /// Level.
    Level,
}

/// Who gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// By the destination field; `FFh` (xAPIC) or `FFFF_FFFFh` (x2APIC) is broadcast.
    Field {
        /// The field's value.
        value: u32,
        /// How to read it.
        mode: DestinationMode,
    },
    /// The sender itself.
    Myself,
    /// Everyone.
    All,
    /// Everyone but the sender.
    Others,
}

/// One interrupt message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApicMessage {
    /// Who gets it.
    pub destination: Destination,
    /// What arrives.
    pub delivery: Delivery,
    /// The vector, where the delivery has one.
    pub vector: u8,
    /// Edge or level.
    pub trigger: Trigger,
}

impl ApicMessage {
    /// A message-signalled interrupt: a dword write of `data` to `address` (SDM vol. 3A, 11.11). `None` if the address is
    /// not in FEEx_xxxxh or the delivery mode is reserved: such a write is an ordinary memory write.
    pub fn from_msi(address: u64, data: u32) -> Option<Self> {
        if address >> 20 != 0xfee {
            return None;
        }
        let mode = if address & 4 != 0 {
            DestinationMode::Logical
        } else {
            DestinationMode::Physical
        };
        let delivery = match data >> 8 & 7 {
            0 => Delivery::Fixed,
            1 => Delivery::LowestPriority,
            2 => Delivery::Smi,
            4 => Delivery::Nmi,
            5 => Delivery::Init,
            7 => Delivery::ExtInt,
            _ => return None,
        };
        Some(Self {
            destination: Destination::Field {
                value: (address >> 12 & 0xff) as u32,
                mode,
            },
            delivery,
            vector: data as u8,
            trigger: if data & 1 << 15 != 0 {
                Trigger::Level
            } else {
                Trigger::Edge
            },
        })
    }
}

/// The registers of a local APIC as a page in hardware layout (SDM vol. 3A, table 11-1): what CPUs that virtualize the APIC
/// read and write beside us.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct RegisterPage([AtomicU32; 1024]);

impl RegisterPage {
    /// All zeros.
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; 1024])
    }

    /// The dword at byte offset `offset`, which wraps at the page's end.
    #[inline]
    pub fn read(&self, offset: u16) -> u32 {
        self.0[usize::from(offset >> 2) & 1023].load(Ordering::Relaxed)
    }

    /// Writes it.
    #[inline]
    pub fn write(&self, offset: u16, value: u32) {
        self.0[usize::from(offset >> 2) & 1023].store(value, Ordering::Relaxed);
    }
}

impl Default for RegisterPage {
    fn default() -> Self {
        Self::new()
    }
}
