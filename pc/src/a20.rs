//! The A20 line: whether address bit 20 of the CPU reaches memory.
//!
//! Port 92h and the keyboard controller's output port both move it (IBM PS/2 Hardware Interface Technical Reference, "System
//! control port A" and "Output port"). Here they share one latch, so that each reads back what the other did.

use serde::{Deserialize, Serialize};

/// The line's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum A20 {
    /// Addresses pass as they are.
    Open,
    /// Bit 20 of every address is 0: memory wraps at 1 MiB as on an 8086.
    Masked,
}

impl A20 {
    /// The line as a register's bit says it.
    pub(crate) fn from_bit(value: u8, bit: u8) -> Self {
        if value & bit != 0 {
            Self::Open
        } else {
            Self::Masked
        }
    }

    /// What a register with this bit shows.
    pub(crate) fn to_bit(self, bit: u8) -> u8 {
        match self {
            Self::Open => bit,
            Self::Masked => 0,
        }
    }
}
