//! What the registers say is shown.

use super::Registers;
use super::dispi::{Depth, Scanout};
use hvm::display::Size;

/// What is shown, with what belongs to it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
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

impl Mode {
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

    /// What is shown now.
    pub(super) fn mode(&self) -> Mode {
        let display_on = self.attribute.display_on();
        if let Some(scanout) = self.dispi.scanout() {
            return match scanout.depth {
                _ if !display_on => Mode::Blank(scanout.size),
                Depth::Planar4 => Mode::Planar(scanout),
                _ => Mode::Linear(scanout),
            };
        }
        let frame = self.frame();
        if !display_on || self.sequencer.screen_off() || self.crtc.stopped() {
            Mode::Blank(frame.size)
        } else if self.graphics.shows_graphics() {
            Mode::Raster(frame)
        } else {
            Mode::Text(frame)
        }
    }
}
