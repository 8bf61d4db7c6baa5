//! The ports: who is behind which, and what a write does to the picture.

use super::bits::{STATUS_0_SENSE, STATUS_1_BLANK, STATUS_1_RETRACE, dispi, port};
use super::dac::Depth;
use super::dispi::Clear;
use super::timing::Beam;
use super::{Change, Vga};
use hvm::{Instant, Width};

/// What a port without a register reads.
const NOTHING: u8 = 0xff;

impl Vga {
    /// Reads a port of 3B0h…3DFh.
    pub fn port_read(&mut self, number: u16, now: Instant) -> u8 {
        let Some(number) = self.decode(number) else {
            return NOTHING;
        };
        let registers = &mut self.screen.registers;
        match number {
            port::ATTRIBUTE => registers.attribute.read_index(),
            port::ATTRIBUTE_DATA => registers.attribute.read(),
            port::STATUS_0 => STATUS_0_SENSE,
            port::ENABLE => registers.enable,
            port::SEQUENCER_INDEX => registers.sequencer.index,
            port::SEQUENCER_DATA => registers.sequencer.read(),
            port::PEL_MASK => registers.dac.mask(),
            port::DAC_READ => registers.dac.state(),
            port::DAC_WRITE => registers.dac.write_address(),
            port::DAC_DATA => registers.dac.read(),
            port::FEATURE => registers.feature,
            port::MISCELLANEOUS => registers.miscellaneous,
            port::GRAPHICS_INDEX => registers.graphics.index,
            port::GRAPHICS_DATA => registers.graphics.read(),
            port::CRTC_INDEX => registers.crtc.index,
            port::CRTC_DATA => registers.crtc.read(),
            port::STATUS_1 => {
                registers.attribute.reset_flip_flop();
                match registers.timing().beam(now) {
                    Beam::Visible => 0,
                    Beam::Blank => STATUS_1_BLANK,
                    Beam::VerticalRetrace => STATUS_1_BLANK | STATUS_1_RETRACE,
                }
            }
            _ => NOTHING,
        }
    }

    /// Writes a port of 3B0h…3DFh.
    pub fn port_write(&mut self, number: u16, value: u8) {
        let Some(number) = self.decode(number) else {
            return;
        };
        let cursor = self.screen.cursor_offset();
        let registers = &mut self.screen.registers;
        let change = match number {
            port::ATTRIBUTE => registers.attribute.write(value),
            port::SEQUENCER_DATA => registers.sequencer.write(value),
            port::PEL_MASK => registers.dac.set_mask(value),
            port::DAC_DATA => registers.dac.write(value),
            port::GRAPHICS_DATA => registers.graphics.write(value),
            port::CRTC_DATA => registers.crtc.write(value),
            _ => {
                self.write_plain(number, value);
                Change::Nothing
            }
        };
        match change {
            Change::Nothing => {}
            Change::Cursor => {
                self.changes.mark(cursor, 1);
                self.changes.mark(self.screen.cursor_offset(), 1);
            }
            Change::Picture => self.changes.mark_all(),
        }
    }

    /// Writes a register that no picture depends on.
    fn write_plain(&mut self, number: u16, value: u8) {
        let registers = &mut self.screen.registers;
        match number {
            // The other side of input status 0.
            port::STATUS_0 => registers.miscellaneous = value,
            port::ENABLE => registers.enable = value & 1,
            port::SEQUENCER_INDEX => registers.sequencer.index = value,
            port::DAC_READ => registers.dac.set_read_address(value),
            port::DAC_WRITE => registers.dac.set_write_address(value),
            port::GRAPHICS_INDEX => registers.graphics.index = value,
            port::CRTC_INDEX => registers.crtc.index = value,
            // The other side of input status 1.
            port::STATUS_1 => registers.feature = value,
            _ => {}
        }
    }

    /// The port under its number for colour emulation; `None` if the other emulation is selected.
    fn decode(&self, number: u16) -> Option<u16> {
        let color = self.screen.registers.color();
        match number {
            0x3b0..=0x3bf => (!color).then_some(number + port::TO_COLOR),
            0x3d0..=0x3df => color.then_some(number),
            _ => Some(number),
        }
    }

    /// Reads the display interface's ports 1CEh…1D0h. Its registers are words; a byte is the low half of one.
    pub fn dispi_port_read(&self, number: u16, width: Width) -> u32 {
        let value = match number {
            dispi::INDEX => self.screen.registers.dispi.index,
            dispi::DATA | dispi::ALIGNED_DATA => self.dispi_read(self.screen.registers.dispi.index),
            _ => 0xffff,
        };
        width.cut(u64::from(value)) as u32
    }

    /// Writes them. A dword at the index port is index and data in one.
    pub fn dispi_port_write(&mut self, number: u16, width: Width, value: u32) {
        match number {
            dispi::INDEX => {
                self.screen.registers.dispi.index = value as u16;
                if width == Width::Dword {
                    self.dispi_write(self.screen.registers.dispi.index, (value >> 16) as u16);
                }
            }
            dispi::DATA | dispi::ALIGNED_DATA => {
                self.dispi_write(self.screen.registers.dispi.index, value as u16);
            }
            _ => {}
        }
    }

    /// Reads a register of the display interface.
    pub fn dispi_read(&self, index: u16) -> u16 {
        self.screen
            .registers
            .dispi
            .read(index, self.screen.memory.bytes())
    }

    /// Writes it. Switching on clears the picture, up to all of video memory.
    pub fn dispi_write(&mut self, index: u16, value: u16) {
        let bytes = self.screen.memory.bytes();
        let dispi = &mut self.screen.registers.dispi;
        let before = dispi.scanout();
        if let Clear::First(bytes) = dispi.write(index, value, bytes) {
            self.screen.memory.fill(0, bytes, 0);
        }
        let depth = if dispi.eight_bit_dac() {
            Depth::Eight
        } else {
            Depth::Six
        };
        let changed = dispi.scanout() != before || index == dispi::ENABLE;
        if self.screen.registers.dac.set_depth(depth) == Change::Picture || changed {
            self.changes.mark_all();
        }
    }
}
