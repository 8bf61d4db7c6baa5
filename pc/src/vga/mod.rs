//! A VGA with the Bochs display interface, after IBM's PS/2 Hardware Interface Technical Reference ("Video Subsystem") and the
//! Bochs VBE Extensions.
//!
//! | file | part |
//! | --- | --- |
//! | `sequencer`, `crtc`, `graphics`, `attribute`, `dac`, `dispi` | registers, and what they mean |
//! | `ports`, `window` | the CPU's ways in: ports, and the memory at A0000h |
//! | `timing` | where the beam is |
//! | `changes` | what was drawn when |
//! | `screen`: `mode`, `scan`, `text`, `raster`, `linear` | from registers and memory to pixels |
//! | `watch` | [`hvm::display::Display`]: what changed |
//! | `adapter`, `mmio`, `edid` | the PCI function around it |
//!
//! [`Vga`] guarantees: no register value, whether written or restored, makes an access or a picture leave video memory or
//! take more than a bounded amount of work; a viewer is told of every change that a picture can show. Not modelled: the
//! border, light pen, interrupt at vertical retrace, and the feature connector.

mod adapter;
mod attribute;
mod bits;
mod changes;
mod crtc;
mod dac;
mod dispi;
mod edid;
mod graphics;
mod linear;
mod memory;
mod mmio;
mod mode;
mod ports;
mod raster;
mod saved;
mod scan;
mod screen;
mod sequencer;
#[cfg(test)]
mod tests;
mod text;
mod timing;
mod watch;
mod window;

pub use adapter::{Adapter, AdapterConfig};
pub use memory::{MINIMUM_BYTES, VideoMemory, VideoRam};

use alloc::sync::Arc;
use attribute::Attribute;
use bits::misc;
use changes::Changes;
use crtc::Crtc;
use dac::Dac;
use dispi::Dispi;
use graphics::Graphics;
use screen::Screen;
use sequencer::Sequencer;
use serde::{Deserialize, Serialize};
use timing::{Blink, Timing};

/// What a register write does to the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    /// The cursor was moved or reshaped.
    Cursor,
    /// Everything may look different.
    Picture,
}

impl Change {
    fn of_picture(changed: bool) -> Self {
        if changed {
            Self::Picture
        } else {
            Self::Nothing
        }
    }
}

/// All registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Registers {
    miscellaneous: u8,
    feature: u8,
    /// Stored only: a PC's firmware never switches its one adapter off.
    enable: u8,
    sequencer: Sequencer,
    crtc: Crtc,
    graphics: Graphics,
    attribute: Attribute,
    dac: Dac,
    dispi: Dispi,
}

impl Registers {
    /// As after reset.
    fn new() -> Self {
        Self {
            enable: 1,
            ..Self::default()
        }
    }

    /// The CRT controller is at 3Dxh.
    fn color(&self) -> bool {
        self.miscellaneous & misc::COLOR != 0
    }

    fn timing(&self) -> Timing {
        Timing::new(self.miscellaneous, &self.sequencer, &self.crtc)
    }
}

/// The chip and its memory.
pub struct Vga {
    screen: Screen,
    changes: Changes,
}

impl Vga {
    /// A chip in reset state before `memory`, which holds at least [`MINIMUM_BYTES`].
    pub fn new(memory: Arc<dyn VideoMemory>) -> Self {
        Self {
            changes: Changes::new(memory.bytes()),
            screen: Screen {
                registers: Registers::new(),
                memory,
                blink: Blink::default(),
            },
        }
    }

    /// Its memory.
    pub fn memory(&self) -> &Arc<dyn VideoMemory> {
        &self.screen.memory
    }

    /// Reads the linear framebuffer.
    pub fn linear_read(&self, offset: u32, into: &mut [u8]) {
        self.screen.memory.read(offset, into);
    }

    /// Writes it.
    pub fn linear_write(&mut self, offset: u32, from: &[u8]) {
        self.screen.memory.write(offset, from);
        self.changes
            .mark(offset, u32::try_from(from.len()).unwrap_or(u32::MAX));
        self.mark_if_font((offset & 3) as usize + from.len() > 2);
    }

    /// After a write to map 2: in text modes it holds the fonts, on which every cell depends.
    #[inline]
    fn mark_if_font(&mut self, map_2_written: bool) {
        if map_2_written
            && !self.screen.registers.graphics.shows_graphics()
            && !self.screen.registers.dispi.enabled()
        {
            self.changes.mark_all();
        }
    }
}
