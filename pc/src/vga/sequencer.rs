//! The sequencer's registers.

use super::Change;
use super::bits::sequencer::*;
use serde::{Deserialize, Serialize};

/// Registers at 3C4h and 3C5h.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequencer {
    pub(super) index: u8,
    registers: [u8; 5],
}

impl Sequencer {
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
        let changed = core::mem::replace(register, value) != value;
        Change::of_picture(changed && matches!(index, CLOCKING | CHARACTER_MAP))
    }

    /// The maps that the CPU writes, map 0 in bit 0.
    #[inline]
    pub(super) fn map_mask(&self) -> u8 {
        self.registers[MAP_MASK]
    }

    #[inline]
    pub(super) fn chain_4(&self) -> bool {
        self.registers[MEMORY_MODE] & CHAIN_4 != 0
    }

    #[inline]
    pub(super) fn odd_even(&self) -> bool {
        self.registers[MEMORY_MODE] & SEQUENTIAL == 0
    }

    /// Dots of a character.
    pub(super) fn character_dots(&self) -> u32 {
        if self.registers[CLOCKING] & EIGHT_DOTS != 0 {
            8
        } else {
            9
        }
    }

    /// How many periods of the dot clock a dot takes.
    pub(super) fn dot_clocks(&self) -> u32 {
        if self.registers[CLOCKING] & HALF_CLOCK != 0 {
            2
        } else {
            1
        }
    }

    pub(super) fn screen_off(&self) -> bool {
        self.registers[CLOCKING] & SCREEN_OFF != 0
    }

    /// Where in map 2 the fonts start for characters whose attribute has bit 3 clear, and set.
    pub(super) fn fonts(&self) -> [u16; 2] {
        let select = u16::from(self.registers[CHARACTER_MAP]);
        let base = |low: u16, high: u16| (low & 3) << 14 | (high & 1) << 13;
        [base(select, select >> 4), base(select >> 2, select >> 5)]
    }
}
