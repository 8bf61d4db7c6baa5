//! The DAC: 256 colours (IBM's DAC as on INMOS' IMSG171, and with eight bits a component where the display interface says so).

use super::Change;
use serde::{Deserialize, Serialize};

/// What 3C7h reads when the last address was one to write from, or one to read from.
const STATE_WRITE: u8 = 0;
const STATE_READ: u8 = 3;
/// Bits of a component.
const SIX_BITS: u8 = 0x3f;

/// How many bits a component has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Depth {
    #[default]
    Six,
    Eight,
}

/// Red, green, blue, as written.
type Color = [u8; 3];

/// Registers at 3C6h to 3C9h.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dac {
    mask: u8,
    state: u8,
    read_address: u8,
    write_address: u8,
    /// Which component of the colour comes next, 0 to 2.
    component: u8,
    /// Components of a colour that is not complete yet.
    partial: Color,
    colors: [[Color; 16]; 16],
    depth: Depth,
}

impl Default for Dac {
    fn default() -> Self {
        Self {
            mask: 0xff,
            state: STATE_WRITE,
            read_address: 0,
            write_address: 0,
            component: 0,
            partial: [0; 3],
            colors: [[[0; 3]; 16]; 16],
            depth: Depth::Six,
        }
    }
}

impl Dac {
    pub(super) fn mask(&self) -> u8 {
        self.mask
    }

    pub(super) fn set_mask(&mut self, mask: u8) -> Change {
        Change::of_picture(core::mem::replace(&mut self.mask, mask) != mask)
    }

    pub(super) fn state(&self) -> u8 {
        self.state
    }

    pub(super) fn set_read_address(&mut self, address: u8) {
        self.state = STATE_READ;
        self.read_address = address;
        self.component = 0;
    }

    pub(super) fn set_write_address(&mut self, address: u8) {
        self.state = STATE_WRITE;
        self.write_address = address;
        self.component = 0;
    }

    pub(super) fn write_address(&self) -> u8 {
        self.write_address
    }

    fn color(&self, address: u8) -> Color {
        self.colors[usize::from(address >> 4)][usize::from(address & 0xf)]
    }

    /// Reads the next component.
    pub(super) fn read(&mut self) -> u8 {
        let component = self.next_component();
        let value = self.color(self.read_address)[component];
        if component == 2 {
            self.read_address = self.read_address.wrapping_add(1);
        }
        match self.depth {
            Depth::Six => value & SIX_BITS,
            Depth::Eight => value,
        }
    }

    /// Writes the next component; the third makes the colour.
    pub(super) fn write(&mut self, value: u8) -> Change {
        let component = self.next_component();
        self.partial[component] = value;
        if component != 2 {
            return Change::Nothing;
        }
        let address = self.write_address;
        self.write_address = address.wrapping_add(1);
        let color = &mut self.colors[usize::from(address >> 4)][usize::from(address & 0xf)];
        let before = core::mem::replace(color, self.partial);
        Change::of_picture(before != self.partial)
    }

    fn next_component(&mut self) -> usize {
        let component = self.component % 3;
        self.component = (component + 1) % 3;
        usize::from(component)
    }

    pub(super) fn set_depth(&mut self, depth: Depth) -> Change {
        Change::of_picture(core::mem::replace(&mut self.depth, depth) != depth)
    }

    /// What the pixel value `address` looks like, as `00RRGGBBh`.
    pub(super) fn rgb(&self, address: u8) -> u32 {
        let [red, green, blue] =
            self.color(address & self.mask)
                .map(|component| match self.depth {
                    Depth::Six => {
                        let value = component & SIX_BITS;
                        value << 2 | value >> 4
                    }
                    Depth::Eight => component,
                });
        u32::from_be_bytes([0, red, green, blue])
    }
}
