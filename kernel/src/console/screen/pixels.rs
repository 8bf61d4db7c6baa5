//! Characters on a linear framebuffer of 15 to 32 bits per pixel.

use boot::PixelFormat;

use super::{
    font::{self, glyph},
    memory::VideoMemory,
    place::Place,
};
use alloc::vec;
use core::ops::Range;
use hvm::display::{Picture, Rect};

/// Colours: light grey on black.
const FOREGROUND: [u8; 3] = [0xc8, 0xc8, 0xc8];

/// Half a glyph's line, four pixels, at up to four bytes each.
type Half = [u8; 16];

/// A linear framebuffer.
pub struct Pixels<'a> {
    memory: VideoMemory<'a>,
    pitch_bytes: usize,
    pixel_bytes: usize,
    format: PixelFormat,
    /// The bytes of four pixels, for each of the sixteen patterns.
    halves: [Half; 16],
}

impl<'a> Pixels<'a> {
    /// A cleared framebuffer in `memory`. `None` if a pixel has no 2, 3 or 4 bytes.
    pub fn new(
        mut memory: VideoMemory<'a>,
        pitch_bytes: usize,
        format: &PixelFormat,
    ) -> Option<Self> {
        let pixel_bytes = usize::from(format.bits_per_pixel).div_ceil(8);
        if !(2..=4).contains(&pixel_bytes) {
            return None;
        }
        memory.clear();
        let pixel = pixel_value(format, FOREGROUND).to_le_bytes();
        let mut halves = [Half::default(); 16];
        for (pattern, half) in halves.iter_mut().enumerate() {
            for (index, place) in half.chunks_exact_mut(pixel_bytes).take(4).enumerate() {
                if pattern & 8 >> index != 0 {
                    place.copy_from_slice(&pixel[..pixel_bytes]);
                }
            }
        }
        Some(Self {
            memory,
            pitch_bytes,
            pixel_bytes,
            format: *format,
            halves,
        })
    }

    /// Makes it black.
    pub fn clear(&mut self) {
        self.memory.clear();
    }

    /// Draws what a part of `picture` looks like at its place.
    pub fn show(&mut self, picture: &dyn Picture, place: &Place, changed: Rect) {
        let reached = place.reached(changed);
        if reached.width == 0 {
            return;
        }
        let first = place.columns(reached.x).start;
        let end = place.columns(reached.x + reached.width - 1).end;
        let width = (end - first) as usize;
        let mut drawn = vec![];
        for y in reached.y..reached.y + reached.height {
            let lines = place.lines(y);
            let height = lines.end - lines.start;
            drawn.resize(width * height as usize, 0);
            let source = Rect {
                x: first,
                y: lines.start,
                width: end - first,
                height,
            };
            picture.render(source, &mut drawn);
            for x in reached.x..reached.x + reached.width {
                let columns = place.columns(x);
                let color = mean(&drawn, width, columns.start - first..columns.end - first);
                self.set(x as usize, y as usize, color);
            }
        }
    }

    #[inline]
    fn set(&mut self, x: usize, y: usize, color: [u8; 3]) {
        let [first, second, third, fourth] = pixel_value(&self.format, color).to_le_bytes();
        let offset = y * self.pitch_bytes + x * self.pixel_bytes;
        match self.pixel_bytes {
            2 => self.memory.store(offset, &[first, second]),
            3 => self.memory.store(offset, &[first, second, third]),
            _ => self.memory.store(offset, &[first, second, third, fourth]),
        }
    }

    /// Draws a character in the cell at `column`, `row`.
    pub fn draw(&mut self, column: usize, row: usize, character: u8) {
        let left = column * font::WIDTH * self.pixel_bytes;
        let top = row * font::HEIGHT * self.pitch_bytes;
        for (line, bits) in glyph(character).iter().enumerate() {
            let offset = top + line * self.pitch_bytes + left;
            let high = self.halves[usize::from(bits >> 4)];
            let low = self.halves[usize::from(bits & 15)];
            match self.pixel_bytes {
                2 => self.store_halves::<8>(offset, &high, &low),
                3 => self.store_halves::<12>(offset, &high, &low),
                _ => self.store_halves::<16>(offset, &high, &low),
            }
        }
    }

    #[inline]
    fn store_halves<const N: usize>(&mut self, offset: usize, high: &Half, low: &Half) {
        for (half, offset) in [(high, offset), (low, offset + N)] {
            if let Some(bytes) = half.first_chunk::<N>() {
                self.memory.store(offset, bytes);
            }
        }
    }
}

/// The mean colour of some columns of all lines, each `width` pixels (`00RRGGBBh`) long.
#[inline]
fn mean(pixels: &[u32], width: usize, columns: Range<u32>) -> [u8; 3] {
    let columns = columns.start as usize..columns.end as usize;
    if let ([pixel], 1) = (
        pixels.get(columns.clone()).unwrap_or_default(),
        pixels.len() / width,
    ) {
        let [_, red, green, blue] = pixel.to_be_bytes();
        return [red, green, blue];
    }
    let (mut sums, mut count) = ([0_u32; 3], 0);
    for line in pixels.chunks(width) {
        for pixel in line.get(columns.clone()).unwrap_or_default() {
            let [_, parts @ ..] = pixel.to_be_bytes();
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum += u32::from(part);
            }
            count += 1;
        }
    }
    sums.map(|sum| (sum / count.max(1)) as u8)
}

/// The pixel of a colour, each part scaled to the width of its field.
fn pixel_value(format: &PixelFormat, [red, green, blue]: [u8; 3]) -> u32 {
    let part = |(lowest, width): (u8, u8), value: u8| {
        let value = u32::from(value) >> 8u8.saturating_sub(width);
        value.checked_shl(lowest.into()).unwrap_or(0)
    };
    part(format.red, red) | part(format.green, green) | part(format.blue, blue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn format(bits_per_pixel: u8) -> PixelFormat {
        match bits_per_pixel {
            15 => PixelFormat {
                bits_per_pixel,
                red: (10, 5),
                green: (5, 5),
                blue: (0, 5),
            },
            16 => PixelFormat {
                bits_per_pixel,
                red: (11, 5),
                green: (5, 6),
                blue: (0, 5),
            },
            _ => PixelFormat {
                bits_per_pixel,
                red: (16, 8),
                green: (8, 8),
                blue: (0, 8),
            },
        }
    }

    fn drawn(bits_per_pixel: u8, pitch_bytes: usize, column: usize, row: usize) -> Vec<u8> {
        let mut bytes = vec![0xee; pitch_bytes * 32];
        // SAFETY: the vector outlives the framebuffer and is not touched meanwhile.
        let memory = unsafe { VideoMemory::new(bytes.as_mut_ptr(), bytes.len()) };
        let mut pixels = Pixels::new(memory, pitch_bytes, &format(bits_per_pixel)).unwrap();
        pixels.draw(column, row, b'M');
        bytes
    }

    #[test]
    fn a_character_lands_in_its_cell_at_every_depth() {
        for (bits, pixel) in [
            (15u8, vec![0x39, 0x67]),
            (16, vec![0x59, 0xce]),
            (24, vec![0xc8; 3]),
            (32, vec![0xc8, 0xc8, 0xc8, 0]),
        ] {
            let pixel_bytes = pixel.len();
            let pitch_bytes = 2 * font::WIDTH * pixel_bytes + 4;
            let bytes = drawn(bits, pitch_bytes, 1, 1);
            for (y, line) in bytes.chunks(pitch_bytes).enumerate() {
                for x in 0..2 * font::WIDTH {
                    let lit = y >= 16 && x >= 8 && glyph(b'M')[y - 16] & 0x80 >> (x - 8) != 0;
                    let expected = if lit {
                        pixel.clone()
                    } else {
                        vec![0; pixel_bytes]
                    };
                    assert_eq!(
                        line[x * pixel_bytes..][..pixel_bytes],
                        expected,
                        "{bits} bits at {x}, {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_is_written_outside_the_memory() {
        let mut bytes = vec![0; 64 * 20];
        // SAFETY: as in `drawn`.
        let memory = unsafe { VideoMemory::new(bytes.as_mut_ptr(), 64 * 16) };
        let mut pixels = Pixels::new(memory, 64, &format(32)).unwrap();
        pixels.draw(1, 0, b'W');
        pixels.draw(0, 1, b'W');
        pixels.draw(9999, 9999, b'W');
        assert!(bytes[64 * 16..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn eight_bits_per_pixel_are_refused() {
        let mut bytes = [0; 64];
        // SAFETY: as in `drawn`.
        let memory = unsafe { VideoMemory::new(bytes.as_mut_ptr(), bytes.len()) };
        assert!(
            Pixels::new(
                memory,
                8,
                &PixelFormat {
                    bits_per_pixel: 8,
                    ..format(32)
                }
            )
            .is_none()
        );
    }
}
