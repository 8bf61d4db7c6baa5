//! The UART's 16-byte queues.

use serde::{Deserialize, Serialize};

/// Capacity in bytes.
pub(super) const CAPACITY: u8 = 16;

/// A queue of up to 16 bytes; the oldest is the lowest byte of `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fifo {
    bytes: u128,
    length: u8,
}

impl Fifo {
    pub(super) fn len(&self) -> u8 {
        self.length.min(CAPACITY)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a byte; false, and nothing done, if it is full.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        if self.length >= CAPACITY {
            return false;
        }
        let shift = u32::from(self.length) * 8;
        self.bytes = self.bytes & !(0xff << shift) | u128::from(byte) << shift;
        self.length += 1;
        true
    }

    /// Overwrites the newest byte, as a shift into a full register does.
    pub(super) fn replace_last(&mut self, byte: u8) {
        self.length = self.len().saturating_sub(1);
        self.push(byte);
    }

    pub(super) fn pop(&mut self) -> Option<u8> {
        self.length = self.len().checked_sub(1)?;
        let byte = self.bytes as u8;
        self.bytes >>= 8;
        Some(byte)
    }

    /// Puts back the byte that was popped last.
    pub(super) fn push_front(&mut self, byte: u8) {
        self.bytes = self.bytes << 8 | u128::from(byte);
        self.length = (self.len() + 1).min(CAPACITY);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
