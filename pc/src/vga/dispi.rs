//! The Bochs display interface: resolutions and depths beyond a VGA's, without timing.
//!
//! Whatever the registers hold, [`Dispi::scanout`] describes a picture whose lines lie in video memory or read as zero.

use super::bits::dispi::*;
use super::memory::BANK_BYTES;
use hvm::display::Size;
use serde::{Deserialize, Serialize};

/// The largest picture.
pub(super) const MAXIMUM: Size = Size {
    width: 4096,
    height: 4096,
};

/// How a pixel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Four maps, through the attribute controller.
    Planar4,
    /// An address of the DAC.
    Indexed8,
    Rgb555,
    Rgb565,
    Rgb888,
    Xrgb8888,
}

impl Depth {
    fn new(bits_per_pixel: u16) -> Option<Self> {
        Some(match bits_per_pixel {
            4 => Self::Planar4,
            8 => Self::Indexed8,
            15 => Self::Rgb555,
            16 => Self::Rgb565,
            24 => Self::Rgb888,
            32 => Self::Xrgb8888,
            _ => return None,
        })
    }

    /// Bits of memory for a pixel.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Planar4 => 4,
            Self::Indexed8 => 8,
            Self::Rgb555 | Self::Rgb565 => 16,
            Self::Rgb888 => 24,
            Self::Xrgb8888 => 32,
        }
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanout {
    pub(super) size: Size,
    pub(super) depth: Depth,
    /// Pixels from line to line.
    pub(super) stride: u32,
    /// The pixel in the upper left corner, counted from the start of memory.
    pub(super) first_pixel: u32,
}

/// What a write of the enable register asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clear {
    /// Bytes from the start of memory.
    First(u32),
    Nothing,
}

/// The registers at 1CEh and 1CFh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dispi {
    pub(super) index: u16,
    id: u16,
    x_resolution: u16,
    y_resolution: u16,
    bits_per_pixel: u16,
    enable: u16,
    bank: u16,
    virtual_width: u16,
    x_offset: u16,
    y_offset: u16,
}

impl Default for Dispi {
    fn default() -> Self {
        Self {
            index: 0,
            id: ID_LAST,
            x_resolution: 640,
            y_resolution: 480,
            bits_per_pixel: 8,
            enable: 0,
            bank: 0,
            virtual_width: 640,
            x_offset: 0,
            y_offset: 0,
        }
    }
}

impl Dispi {
    /// Reads register `index`.
    pub(super) fn read(&self, index: u16, memory_bytes: u32) -> u16 {
        let capabilities = self.enable & GET_CAPABILITIES != 0;
        match index {
            ID => self.id,
            X_RESOLUTION if capabilities => MAXIMUM.width as u16,
            Y_RESOLUTION if capabilities => MAXIMUM.height as u16,
            BITS_PER_PIXEL if capabilities => 32,
            X_RESOLUTION => self.x_resolution,
            Y_RESOLUTION => self.y_resolution,
            BITS_PER_PIXEL => self.bits_per_pixel,
            ENABLE => self.enable,
            BANK => self.bank,
            VIRTUAL_WIDTH => self.virtual_width,
            VIRTUAL_HEIGHT => self.virtual_height(memory_bytes).min(0xffff) as u16,
            X_OFFSET => self.x_offset,
            Y_OFFSET => self.y_offset,
            VIDEO_MEMORY_64K => (memory_bytes / BANK_BYTES).min(0xffff) as u16,
            _ => 0,
        }
    }

    /// Writes register `index`. What does not fit is cut to what does.
    pub(super) fn write(&mut self, index: u16, value: u16, memory_bytes: u32) -> Clear {
        match index {
            ID if (ID_FIRST..=ID_LAST).contains(&value) => self.id = value,
            X_RESOLUTION => self.x_resolution = value,
            Y_RESOLUTION => self.y_resolution = value,
            // 0 meant 8 in the first revision.
            BITS_PER_PIXEL if value == 0 => self.bits_per_pixel = 8,
            BITS_PER_PIXEL if Depth::new(value).is_some() => self.bits_per_pixel = value,
            ENABLE => return self.write_enable(value & ENABLE_WRITABLE, memory_bytes),
            BANK => self.bank = value,
            VIRTUAL_WIDTH => self.virtual_width = value,
            X_OFFSET => self.x_offset = value,
            Y_OFFSET => self.y_offset = value,
            _ => {}
        }
        if self.enabled() {
            self.fit(memory_bytes);
        }
        Clear::Nothing
    }

    /// Switching on starts with the picture's own width, at the start of memory, which is cleared unless told otherwise.
    fn write_enable(&mut self, value: u16, memory_bytes: u32) -> Clear {
        let before = core::mem::replace(&mut self.enable, value);
        self.bank = 0;
        if value & ENABLED == 0 || before & ENABLED != 0 {
            return Clear::Nothing;
        }
        self.virtual_width = 0;
        self.x_offset = 0;
        self.y_offset = 0;
        self.fit(memory_bytes);
        if value & NO_CLEAR != 0 {
            Clear::Nothing
        } else {
            Clear::First(self.line_bytes() * u32::from(self.y_resolution))
        }
    }

    /// Brings the geometry into what memory holds, so that the guest reads back what it got.
    fn fit(&mut self, memory_bytes: u32) {
        let step = if self.depth() == Depth::Planar4 { 8 } else { 1 };
        let width = u32::from(self.x_resolution).min(MAXIMUM.width) / step * step;
        self.x_resolution = width.max(step) as u16;
        let stride = u32::from(self.virtual_width) / step * step;
        self.virtual_width = stride.max(self.x_resolution.into()) as u16;
        let lines = self.virtual_height(memory_bytes);
        let height = u32::from(self.y_resolution).min(MAXIMUM.height).min(lines);
        self.y_resolution = height.max(1) as u16;
        // A picture that would leave the memory goes back to its start.
        if u32::from(self.y_offset) + u32::from(self.y_resolution) > lines {
            self.y_offset = 0;
        }
    }

    fn depth(&self) -> Depth {
        Depth::new(self.bits_per_pixel).unwrap_or(Depth::Indexed8)
    }

    fn line_bytes(&self) -> u32 {
        (u32::from(self.virtual_width) * self.depth().bits()).div_ceil(8)
    }

    /// Lines that memory has room for.
    fn virtual_height(&self, memory_bytes: u32) -> u32 {
        memory_bytes / self.line_bytes().max(1)
    }

    pub(super) fn enabled(&self) -> bool {
        self.enable & ENABLED != 0
    }

    /// Components of the DAC have eight bits.
    pub(super) fn eight_bit_dac(&self) -> bool {
        self.enable & EIGHT_BIT_DAC != 0
    }

    /// The picture, if the interface is on.
    pub(super) fn scanout(&self) -> Option<Scanout> {
        if !self.enabled() {
            return None;
        }
        let stride = u32::from(self.virtual_width);
        Some(Scanout {
            size: Size {
                width: u32::from(self.x_resolution).min(MAXIMUM.width),
                height: u32::from(self.y_resolution).min(MAXIMUM.height),
            },
            depth: self.depth(),
            stride,
            first_pixel: u32::from(self.y_offset)
                .saturating_mul(stride)
                .saturating_add(u32::from(self.x_offset)),
        })
    }

    /// Where the window at A0000h starts: in bytes of memory, or of each map with four bits a pixel.
    #[inline]
    pub(super) fn window(&self, memory_bytes: u32) -> Option<Window> {
        if !self.enabled() {
            return None;
        }
        let planar = self.depth() == Depth::Planar4;
        let bytes = if planar {
            memory_bytes / 4
        } else {
            memory_bytes
        };
        let banks = (bytes / BANK_BYTES).max(1);
        let start = u32::from(self.bank) % banks * BANK_BYTES;
        Some(if planar {
            Window::Maps(start)
        } else {
            Window::Linear(start)
        })
    }
}

/// What the window at A0000h shows while the interface is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// Memory, from this byte on.
    Linear(u32),
    /// The four maps, from this byte of each on.
    Maps(u32),
}
