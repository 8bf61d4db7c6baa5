//! The attribute controller: the palette of sixteen, and how dots become colours.

use super::Change;
use super::bits::attribute::*;
use serde::{Deserialize, Serialize};

/// Registers at 3C0h and 3C1h.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attribute {
    /// With the bit that switches the display on.
    index: u8,
    /// The next write goes to the data register.
    expects_data: bool,
    registers: [u8; COUNT],
}

impl Attribute {
    /// A read of input status 1 makes the next write one of the index.
    pub(super) fn reset_flip_flop(&mut self) {
        self.expects_data = false;
    }

    pub(super) fn read_index(&self) -> u8 {
        self.index
    }

    /// Reads the register that the index names.
    pub(super) fn read(&self) -> u8 {
        let register = self.registers.get(usize::from(self.index & 0x1f));
        register.copied().unwrap_or(0)
    }

    /// Writes index or data, in turn.
    pub(super) fn write(&mut self, value: u8) -> Change {
        self.expects_data = !self.expects_data;
        if self.expects_data {
            let value = value & 0x3f;
            let changed = core::mem::replace(&mut self.index, value) ^ value;
            return Change::of_picture(changed & DISPLAY != 0);
        }
        let index = usize::from(self.index & 0x1f);
        let Some(register) = self.registers.get_mut(index) else {
            return Change::Nothing;
        };
        let exists = match index.checked_sub(MODE) {
            Some(control) => WRITABLE[control],
            None => PALETTE,
        };
        let value = value & exists;
        Change::of_picture(core::mem::replace(register, value) != value)
    }

    fn mode(&self, bit: u8) -> bool {
        self.registers[MODE] & bit != 0
    }

    /// The palette belongs to the display, so there is a picture.
    pub(super) fn display_on(&self) -> bool {
        self.index & DISPLAY != 0
    }

    pub(super) fn monochrome(&self) -> bool {
        self.mode(MONOCHROME)
    }

    pub(super) fn line_graphics(&self) -> bool {
        self.mode(LINE_GRAPHICS)
    }

    pub(super) fn blinks(&self) -> bool {
        self.mode(BLINK)
    }

    /// Two dots make one pixel of eight bits.
    pub(super) fn eight_bits(&self) -> bool {
        self.mode(EIGHT_BITS)
    }

    /// Panning ends at the line compare.
    pub(super) fn panning_ends(&self) -> bool {
        self.mode(PANNING_ENDS)
    }

    /// How many dots the picture is moved to the left, for characters of so many dots.
    pub(super) fn panning(&self, character_dots: u32) -> u32 {
        let panning = u32::from(self.registers[PIXEL_PANNING]);
        // With nine dots, 8 means none, and 0 to 7 mean one more.
        if character_dots == 9 {
            (panning + 1) % 9
        } else {
            panning & 7
        }
    }

    /// The DAC's address for each value of four bits.
    pub(super) fn colors(&self) -> [u8; 16] {
        let select = self.registers[COLOR_SELECT];
        let enabled = self.registers[PLANE_ENABLE] & 0xf;
        core::array::from_fn(|value| {
            let color = self.registers[value & usize::from(enabled)];
            let high = (select & 0xc) << 4;
            if self.mode(SELECT_54) {
                high | (select & 3) << 4 | color & 0xf
            } else {
                high | color
            }
        })
    }
}
