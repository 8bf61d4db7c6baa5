//! The graphics controller: what happens to data on their way between CPU and video memory.
//!
//! The four maps are handled side by side as the bytes of a dword, map 0 in the lowest.

use super::Change;
use super::bits::graphics::*;
use serde::{Deserialize, Serialize};

/// A byte for each map.
pub(super) type Maps = u32;

/// The same byte for all maps.
#[inline]
pub(super) fn all(byte: u8) -> Maps {
    u32::from(byte) * 0x0101_0101
}

/// FFh for each map whose bit is set.
#[inline]
pub(super) fn spread(maps: u8) -> Maps {
    let maps = u32::from(maps);
    // A bit to the lowest of each byte, and from there into the other seven.
    ((maps & 1) | (maps & 2) << 7 | (maps & 4) << 14 | (maps & 8) << 21) * 0xff
}

/// How the memory map looks to the CPU (miscellaneous register, bits 2 and 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aperture {
    /// Offset from A0000h.
    pub(super) start: u32,
    pub(super) bytes: u32,
}

/// How the serializers make four-bit values of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// One bit of each map.
    Planar,
    /// Two bits of map 0 and of map 2, then of maps 1 and 3.
    Interleaved,
    /// Four bits of map 0, then of map 1, 2 and 3.
    Packed,
}

/// Registers at 3CEh and 3CFh, and the latches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Graphics {
    pub(super) index: u8,
    registers: [u8; 9],
    /// What the last read of video memory brought.
    pub(super) latches: Maps,
}

impl Graphics {
    /// Reads the register that the index names.
    pub(super) fn read(&self) -> u8 {
        let register = self.registers.get(usize::from(self.index));
        register.copied().unwrap_or(0)
    }

    /// Writes it.
    pub(super) fn write(&mut self, value: u8) -> Change {
        let index = usize::from(self.index);
        let Some(register) = self.registers.get_mut(index) else {
            return Change::Nothing;
        };
        let value = value & WRITABLE[index];
        let changed = core::mem::replace(register, value) ^ value;
        Change::of_picture(match index {
            MODE => changed & SHIFT != 0,
            MISCELLANEOUS => changed & GRAPHICS != 0,
            _ => false,
        })
    }

    /// True while a byte goes to the maps as it comes: write mode 0 without rotation, function, set/reset and bit mask.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let registers = &self.registers;
        registers[MODE] & 3 == 0
            && registers[ROTATE] == 0
            && registers[ENABLE_SET_RESET] == 0
            && registers[BIT_MASK] == 0xff
    }

    /// What the CPU's byte makes of the latched bytes (write modes 0 to 3).
    #[inline]
    pub(super) fn merge(&self, value: u8) -> Maps {
        let registers = &self.registers;
        let rotate = registers[ROTATE];
        let rotated = value.rotate_right(u32::from(rotate & 7));
        let set_reset = spread(registers[SET_RESET]);
        let bit_mask = registers[BIT_MASK];
        let (data, bit_mask) = match registers[MODE] & 3 {
            0 => {
                let enabled = spread(registers[ENABLE_SET_RESET]);
                (all(rotated) & !enabled | set_reset & enabled, bit_mask)
            }
            1 => return self.latches,
            2 => (spread(value), bit_mask),
            _ => (set_reset, bit_mask & rotated),
        };
        let data = match rotate >> 3 {
            0 => data,
            1 => data & self.latches,
            2 => data | self.latches,
            _ => data ^ self.latches,
        };
        let mask = all(bit_mask);
        data & mask | self.latches & !mask
    }

    /// What the CPU reads of the latched bytes (read modes 0 and 1). `map` is the one that the address selects, if it does.
    #[inline]
    pub(super) fn select(&self, map: Option<u8>) -> u8 {
        if self.registers[MODE] & COMPARE != 0 {
            let differs = (self.latches ^ spread(self.registers[COLOR_COMPARE]))
                & spread(self.registers[COLOR_DONT_CARE]);
            let [map_0, map_1, map_2, map_3] = differs.to_le_bytes();
            return !(map_0 | map_1 | map_2 | map_3);
        }
        let map = map.unwrap_or(self.registers[READ_MAP]);
        self.latches.to_le_bytes()[usize::from(map & 3)]
    }

    /// The map that an odd/even read takes: its low bit is that of the address.
    #[inline]
    pub(super) fn odd_even_map(&self, address: u32) -> u8 {
        self.registers[READ_MAP] & 2 | (address & 1) as u8
    }

    /// Reads are odd/even.
    #[inline]
    pub(super) fn odd_even(&self) -> bool {
        self.registers[MODE] & ODD_EVEN != 0
    }

    /// Address bit 0 is replaced.
    #[inline]
    pub(super) fn chain_odd_even(&self) -> bool {
        self.registers[MISCELLANEOUS] & CHAIN_ODD_EVEN != 0
    }

    #[inline]
    pub(super) fn aperture(&self) -> Aperture {
        let (start, bytes) = match self.registers[MISCELLANEOUS] >> 2 & 3 {
            0 => (0, 0x2_0000),
            1 => (0, 0x1_0000),
            2 => (0x1_0000, 0x8000),
            _ => (0x1_8000, 0x8000),
        };
        Aperture { start, bytes }
    }

    /// Graphics, not text.
    #[inline]
    pub(super) fn shows_graphics(&self) -> bool {
        self.registers[MISCELLANEOUS] & GRAPHICS != 0
    }

    pub(super) fn shift(&self) -> Shift {
        let mode = self.registers[MODE];
        if mode & SHIFT_256 != 0 {
            Shift::Packed
        } else if mode & INTERLEAVED != 0 {
            Shift::Interleaved
        } else {
            Shift::Planar
        }
    }
}
