//! One 8237A (Intel 8237A data sheet, order 231466).

use super::bits::*;
use serde::{Deserialize, Serialize};

/// A channel's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Channel {
    base_address: u16,
    base_count: u16,
    pub(super) address: u16,
    /// One less than what is left.
    pub(super) count: u16,
    pub(super) mode: u8,
}

impl Channel {
    /// Moves on by `units`, at most what is left. True at terminal count.
    pub(super) fn advance(&mut self, units: u32) -> bool {
        let left = self.left();
        let units = units.min(left);
        self.address = if self.mode & DOWN != 0 {
            self.address.wrapping_sub(units as u16)
        } else {
            self.address.wrapping_add(units as u16)
        };
        self.count = self.count.wrapping_sub(units as u16);
        units == left
    }

    /// Units until terminal count.
    pub(super) fn left(&self) -> u32 {
        u32::from(self.count) + 1
    }

    fn reload(&mut self) {
        self.address = self.base_address;
        self.count = self.base_count;
    }
}

/// The chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chip {
    pub(super) channels: [Channel; 4],
    command: u8,
    /// Channels that reached terminal count since the last look.
    ended: u8,
    requests: u8,
    mask: u8,
    /// The byte pointer: the high byte is next.
    high_next: bool,
}

impl Chip {
    /// After reset: all channels are masked.
    pub(super) fn new() -> Self {
        Self {
            channels: [Channel::default(); 4],
            command: 0,
            ended: 0,
            requests: 0,
            mask: 0xf,
            high_next: false,
        }
    }

    /// As firmware leaves the second chip: its channel 0 passes the first one on.
    pub(super) fn cascading() -> Self {
        let mut chip = Self::new();
        chip.channels[0].mode = SERVICE_CASCADE;
        chip.mask = 0xe;
        chip
    }

    /// True if `channel` (0…3) answers its device.
    pub(super) fn is_open(&self, channel: usize) -> bool {
        self.command & COMMAND_OFF == 0 && self.mask & 1 << (channel & 3) == 0
    }

    /// A channel reached its terminal count.
    pub(super) fn end(&mut self, channel: usize) {
        let bit = 1 << (channel & 3);
        self.ended |= bit;
        self.requests &= !bit;
        let Some(channel) = self.channels.get_mut(channel) else {
            return;
        };
        if channel.mode & AUTOINITIALIZE != 0 {
            channel.reload();
        } else {
            self.mask |= bit;
        }
    }

    /// Which byte of a register is accessed now: the high one, or the low one. The other is next.
    fn turn_pointer(&mut self) -> usize {
        let high = self.high_next;
        self.high_next = !high;
        usize::from(high)
    }

    pub(super) fn read(&mut self, register: u8) -> u8 {
        match register {
            0..=7 => {
                let high = self.turn_pointer();
                let channel = &self.channels[usize::from(register >> 1 & 3)];
                let value = if register & 1 == 0 {
                    channel.address
                } else {
                    channel.count
                };
                value.to_le_bytes()[high]
            }
            COMMAND_STATUS => self.requests << 4 | core::mem::take(&mut self.ended),
            // The temporary register: there is no memory-to-memory transfer to leave anything in it.
            MASTER_CLEAR => 0,
            MASK_ALL => 0xf0 | self.mask,
            _ => 0xff,
        }
    }

    pub(super) fn write(&mut self, register: u8, value: u8) {
        let bit = 1 << (value & CHANNEL);
        match register {
            0..=7 => self.write_channel(register, value),
            COMMAND_STATUS => self.command = value,
            REQUEST if value & SET != 0 => self.requests |= bit,
            REQUEST => self.requests &= !bit,
            MASK_ONE if value & SET != 0 => self.mask |= bit,
            MASK_ONE => self.mask &= !bit,
            MODE => self.channels[usize::from(value & CHANNEL)].mode = value & !CHANNEL,
            CLEAR_POINTER => self.high_next = false,
            MASTER_CLEAR => {
                *self = Self {
                    channels: self.channels,
                    ..Self::new()
                };
            }
            CLEAR_MASK => self.mask = 0,
            MASK_ALL => self.mask = value & 0xf,
            _ => {}
        }
    }

    /// Writing loads base and current registers alike.
    fn write_channel(&mut self, register: u8, value: u8) {
        let high = self.turn_pointer();
        let channel = &mut self.channels[usize::from(register >> 1 & 3)];
        let (base, current) = if register & 1 == 0 {
            (&mut channel.base_address, &mut channel.address)
        } else {
            (&mut channel.base_count, &mut channel.count)
        };
        let mut bytes = base.to_le_bytes();
        bytes[high] = value;
        *base = u16::from_le_bytes(bytes);
        *current = *base;
    }

    /// A restored chip as one that can be.
    pub(super) fn sanitize(mut self) -> Self {
        self.mask &= 0xf;
        self.ended &= 0xf;
        self.requests &= 0xf;
        self
    }
}
