//! Pictures of the display interface.

use super::dispi::{Depth, Scanout};
use super::graphics::Shift;
use super::raster::Grid;
use super::screen::Screen;
use core::ops::Range;

/// Pixels that are read at once.
const RUN: usize = 64;
/// Bytes of a pixel at most.
const PIXEL_BYTES: usize = 4;

/// A component of five or six bits as eight: white is white.
fn widen(component: u32, bits: u32) -> u32 {
    let component = component & ((1 << bits) - 1);
    component << (8 - bits) | component >> (2 * bits - 8)
}

fn rgb(red: u32, green: u32, blue: u32) -> u32 {
    red << 16 | green << 8 | blue
}

impl Scanout {
    /// The first pixel of a line, counted from the start of memory.
    fn pixel(&self, x: u32, y: u32) -> u32 {
        let line = y.saturating_mul(self.stride);
        self.first_pixel.saturating_add(line).saturating_add(x)
    }

    pub(super) fn pixel_bytes(&self) -> u32 {
        self.depth.bits() / 8
    }

    /// The bytes of a line.
    pub(super) fn line_bytes(&self, y: u32) -> Range<u32> {
        let start = self.pixel(0, y).saturating_mul(self.pixel_bytes());
        start..start.saturating_add(self.size.width * self.pixel_bytes())
    }

    /// The cell in which a line starts, and how its cells lie, with four bits a pixel.
    pub(super) fn planar_line(&self, y: u32) -> (u32, Grid) {
        let first = self.pixel(0, y);
        let grid = Grid {
            dots: 8,
            dot_pixels: 1,
            panning: first & 7,
        };
        (first / 8, grid)
    }
}

impl Screen {
    /// Draws pixels of a line.
    pub(super) fn draw_linear(&self, scanout: &Scanout, x: u32, y: u32, into: &mut [u32]) {
        let bytes = scanout.pixel_bytes() as usize;
        let mut buffer = [0; RUN * PIXEL_BYTES];
        let first = scanout.pixel(x, y);
        for (run, pixels) in (0_u32..).zip(into.chunks_mut(RUN)) {
            let pixel = first.saturating_add(run * RUN as u32);
            let buffer = &mut buffer[..pixels.len() * bytes];
            self.memory.read(pixel.saturating_mul(bytes as u32), buffer);
            for (pixel, bytes) in pixels.iter_mut().zip(buffer.chunks_exact(bytes)) {
                let mut value = [0; PIXEL_BYTES];
                value[..bytes.len()].copy_from_slice(bytes);
                *pixel = self.color(scanout.depth, u32::from_le_bytes(value));
            }
        }
    }

    fn color(&self, depth: Depth, value: u32) -> u32 {
        match depth {
            Depth::Planar4 | Depth::Indexed8 => self.registers.dac.rgb(value as u8),
            Depth::Rgb555 => rgb(widen(value >> 10, 5), widen(value >> 5, 5), widen(value, 5)),
            Depth::Rgb565 => rgb(widen(value >> 11, 5), widen(value >> 5, 6), widen(value, 5)),
            Depth::Rgb888 | Depth::Xrgb8888 => value & 0xff_ffff,
        }
    }

    /// Draws pixels of a line with four bits a pixel.
    pub(super) fn draw_planar(
        &self,
        scanout: &Scanout,
        palette: &[u32; 16],
        (x, y): (u32, u32),
        into: &mut [u32],
    ) {
        let (first, grid) = scanout.planar_line(y);
        grid.draw(x, into, |column| {
            let offset = first.saturating_add(column).saturating_mul(4);
            self.raster_dots(palette, Shift::Planar, offset)
        });
    }
}
