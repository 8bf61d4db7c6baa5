//! What the registers say the picture is.

use super::dispi::{Depth, Scanout};
use super::{Registers, Vga};
use hvm::display::Size;

/// The picture's kind, with what belongs to it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// Black.
    Blank(Size),
    /// Characters.
    Text(Frame),
    /// Graphics through shift registers and attribute controller.
    Raster(Frame),
    /// Pixels one after the other.
    Linear(Scanout),
    /// Sixteen colours in four maps, by the display interface.
    Planar(Scanout),
}

/// A picture that the CRT controller scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) size: Size,
    /// Dots of a character.
    pub(super) dots: u32,
    /// Pixels that show one dot.
    pub(super) dot_pixels: u32,
    pub(super) columns: u32,
}

impl Picture {
    pub(super) fn size(&self) -> Size {
        match self {
            Self::Blank(size) => *size,
            Self::Text(frame) | Self::Raster(frame) => frame.size,
            Self::Linear(scanout) | Self::Planar(scanout) => scanout.size,
        }
    }
}

impl Registers {
    /// The frame that the CRT controller describes: at most 256 characters of 18 pixels by 2048 lines.
    fn frame(&self) -> Frame {
        let graphics = self.graphics.shows_graphics();
        // Graphics with nine dots repeats nothing and shows a gap: monitors and software know eight only.
        let dots = if graphics {
            8
        } else {
            self.sequencer.character_dots()
        };
        let dot_pixels = self.sequencer.dot_clocks();
        let columns = self.crtc.columns();
        Frame {
            size: Size {
                width: columns * dots * dot_pixels,
                height: self.crtc.lines() * self.crtc.lines_per_count(),
            },
            dots,
            dot_pixels,
            columns,
        }
    }
}

impl Vga {
    /// What is shown now.
    pub(super) fn picture(&self) -> Picture {
        let registers = &self.registers;
        let display_on = registers.attribute.display_on();
        if let Some(scanout) = registers.dispi.scanout() {
            return match scanout.depth {
                _ if !display_on => Picture::Blank(scanout.size),
                Depth::Planar4 => Picture::Planar(scanout),
                _ => Picture::Linear(scanout),
            };
        }
        let frame = registers.frame();
        if !display_on || registers.sequencer.screen_off() || registers.crtc.stopped() {
            Picture::Blank(frame.size)
        } else if registers.graphics.shows_graphics() {
            Picture::Raster(frame)
        } else {
            Picture::Text(frame)
        }
    }
}
