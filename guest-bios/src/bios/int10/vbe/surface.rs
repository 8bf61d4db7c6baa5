//! Pixels, and text made of them, in VBE's modes: through the framebuffer's own address, which the adapter decodes
//! whether a program uses it or the window.

use super::super::super::call::Call;
use super::super::dac::{self, Colour};
use super::super::modes::Dac;
use super::dispi::{self, Register};
use super::info;
use super::modes::Mode;
use guest_mem::Gpa;

/// The picture in the adapter's memory.
#[derive(Clone, Copy)]
pub struct Surface {
    mode: &'static Mode,
    base: Gpa,
    pitch: u64,
    /// Lines that the memory holds.
    lines: u64,
}

/// Pixels of a character's line.
const CHARACTER: usize = 8;
/// Bytes of a pixel, at most.
const PIXEL: usize = 4;

impl Surface {
    /// The one on the screen, if a VBE mode is set and the adapter's memory has an address.
    pub fn current(call: &mut Call<'_>) -> Option<Self> {
        let mode = super::current(call)?;
        let base = info::framebuffer(call)?;
        let width = dispi::read(call, Register::VirtualWidth).max(mode.width);
        let pitch = u64::from(width) * u64::from(mode.pixel_bytes());
        let memory = u64::from(dispi::read(call, Register::Memory)) << 16;
        Some(Self {
            mode,
            base: Gpa(base.into()),
            pitch,
            lines: memory / pitch,
        })
    }

    /// The address of a pixel, if it is in the picture.
    fn at(&self, x: u64, line: u64) -> Option<Gpa> {
        let inside = x < self.mode.width.into() && line < self.lines.min(self.mode.height.into());
        let offset = line * self.pitch + x * u64::from(self.mode.pixel_bytes());
        inside.then(|| self.base.wrapping_add(offset))
    }

    /// A pixel's bytes: the colour's number, or in modes without a palette the VGA's colour of that number.
    fn pixel(&self, colour: u8) -> [u8; PIXEL] {
        const VGA_COLOURS: u8 = 15;
        if self.mode.depth == 8 {
            return [colour, 0, 0, 0];
        }
        let parts: Colour = dac::colour(Dac::Vga, colour & VGA_COLOURS);
        let fields = self.mode.fields().0;
        let value = parts
            .iter()
            .zip(fields)
            .fold(0, |value, (&part, (bits, at))| {
                // Six bits become as many as the field has.
                let wide = u32::from(part) << 2 | u32::from(part) >> 4;
                value | wide >> (8 - bits) << at
            });
        value.to_le_bytes()
    }

    /// Writes a pixel.
    pub fn put(&self, call: &mut Call<'_>, x: u64, line: u64, colour: u8) {
        let bytes = usize::from(self.mode.pixel_bytes());
        if let Some(at) = self.at(x, line) {
            call.write_physical(at, &self.pixel(colour)[..bytes]);
        }
    }

    /// A pixel's number; without a palette, its first byte that is not 0.
    pub fn get(&self, call: &mut Call<'_>, x: u64, line: u64) -> u8 {
        let mut pixel = [0; PIXEL];
        let bytes = usize::from(self.mode.pixel_bytes());
        if let Some(at) = self.at(x, line) {
            call.read_physical(at, &mut pixel[..bytes]);
        }
        pixel.into_iter().find(|&byte| byte != 0).unwrap_or(0)
    }

    /// Draws a character's line on black.
    pub fn put_row(&self, call: &mut Call<'_>, x: u64, line: u64, bits: u8, colour: u8) {
        let bytes = usize::from(self.mode.pixel_bytes());
        let ink = self.pixel(colour);
        let mut row = [0; CHARACTER * PIXEL];
        for (pixel, place) in row.chunks_exact_mut(bytes).take(CHARACTER).enumerate() {
            if bits & 0x80 >> pixel != 0 {
                place.copy_from_slice(&ink[..bytes]);
            }
        }
        if let Some(at) = self.at(x, line) {
            call.write_physical(at, &row[..CHARACTER * bytes]);
        }
    }

    /// Copies a part of a line to another line.
    pub fn copy_row(&self, call: &mut Call<'_>, x: u64, pixels: u64, from: u64, to: u64) {
        const CHUNK: usize = 4096;
        let mut chunk = [0; CHUNK];
        let (Some(mut from), Some(mut to)) = (self.at(x, from), self.at(x, to)) else {
            return;
        };
        let mut left = self.row_bytes(x, pixels);
        while left > 0 {
            let now = &mut chunk[..left.min(CHUNK)];
            call.read_physical(from, now);
            call.write_physical(to, now);
            left -= now.len();
            from = from.wrapping_add(now.len() as u64);
            to = to.wrapping_add(now.len() as u64);
        }
    }

    /// Fills a part of a line.
    pub fn fill_row(&self, call: &mut Call<'_>, x: u64, pixels: u64, line: u64, colour: u8) {
        // A multiple of every size of a pixel.
        const CHUNK: usize = 3072;
        let bytes = usize::from(self.mode.pixel_bytes());
        let ink = self.pixel(colour);
        let mut chunk = [0; CHUNK];
        for place in chunk.chunks_exact_mut(bytes) {
            place.copy_from_slice(&ink[..bytes]);
        }
        let Some(mut at) = self.at(x, line) else {
            return;
        };
        let mut left = self.row_bytes(x, pixels);
        while left > 0 {
            let now = &chunk[..left.min(CHUNK)];
            call.write_physical(at, now);
            left -= now.len();
            at = at.wrapping_add(now.len() as u64);
        }
    }

    /// Bytes of so many pixels from `x` on, as far as the line goes.
    fn row_bytes(&self, x: u64, pixels: u64) -> usize {
        let pixels = pixels.min(u64::from(self.mode.width).saturating_sub(x));
        (pixels * u64::from(self.mode.pixel_bytes())) as usize
    }
}
