//! One tile in ZRLE (RFC 6143, 7.7.6), before it is compressed.

use super::bits::zrle::{MAX_PACKED, MAX_PALETTE, PALETTE_RLE, PLAIN_RLE, RAW, SOLID};
use super::format::Converter;
use alloc::vec::Vec;
use heapless::Vec as Few;

/// Its colours in the order in which they come, up to [`MAX_PALETTE`].
type Palette = Few<u32, MAX_PALETTE>;

/// What there is to know about a tile before it is written.
struct Census {
    palette: Palette,
    /// More colours than a palette holds.
    is_colourful: bool,
    /// Runs of one pixel, and of more.
    singles: usize,
    runs: usize,
    /// Bytes that say how long the latter are.
    length_bytes: usize,
}

impl Census {
    fn take(pixels: &[u32]) -> Self {
        let mut census = Self {
            palette: Few::new(),
            is_colourful: false,
            singles: 0,
            runs: 0,
            length_bytes: 0,
        };
        for (pixel, length) in runs(pixels) {
            match length {
                1 => census.singles += 1,
                length => {
                    census.runs += 1;
                    census.length_bytes += (length - 1) / 255 + 1;
                }
            }
            if !census.is_colourful && place(&census.palette, pixel).is_none() {
                census.is_colourful = census.palette.push(pixel).is_err();
            }
        }
        census
    }
}

fn place(palette: &[u32], pixel: u32) -> Option<usize> {
    palette.iter().position(|entry| *entry == pixel)
}

/// Pixels with how often they come in a row.
fn runs(pixels: &[u32]) -> impl Iterator<Item = (u32, usize)> {
    pixels
        .chunk_by(|one, next| one == next)
        .map(|run| (run[0], run.len()))
}

/// Appends a tile of `width` pixels a line, in the client's pixels, in the shortest way. At most its raw length and a byte.
pub fn encode(pixels: &[u32], width: usize, converter: &Converter, out: &mut Vec<u8>) {
    let census = Census::take(pixels);
    let pixel_bytes = converter.compact_bytes();
    let raw = pixels.len() * pixel_bytes;
    let plain =
        (census.singles + census.runs) * (pixel_bytes + 1) + census.length_bytes - census.runs;
    let colours = census.palette.len();
    let palette_bytes = colours * pixel_bytes;
    let indexed = match census.is_colourful {
        true => usize::MAX,
        false => palette_bytes + census.singles + census.runs + census.length_bytes,
    };
    let packed = match census.is_colourful || colours > MAX_PACKED {
        true => usize::MAX,
        false => {
            let line_bytes = (width * index_bits(colours)).div_ceil(8);
            palette_bytes + line_bytes * (pixels.len() / width.max(1))
        }
    };
    if colours == 1 && !census.is_colourful {
        out.push(SOLID);
        return converter.put_compact(census.palette[0], out);
    }
    match raw.min(plain).min(indexed).min(packed) {
        least if least == packed => {
            out.push(colours as u8);
            put_palette(&census.palette, converter, out);
            put_packed(pixels, width, &census.palette, out);
        }
        least if least == indexed => {
            out.push(PALETTE_RLE + colours as u8);
            put_palette(&census.palette, converter, out);
            for (pixel, length) in runs(pixels) {
                // All pixels are in it.
                let index = place(&census.palette, pixel).unwrap_or(0) as u8;
                if length == 1 {
                    out.push(index);
                } else {
                    out.push(index | 0x80);
                    put_length(length, out);
                }
            }
        }
        least if least == plain => {
            out.push(PLAIN_RLE);
            for (pixel, length) in runs(pixels) {
                converter.put_compact(pixel, out);
                put_length(length, out);
            }
        }
        _ => {
            out.push(RAW);
            for pixel in pixels {
                converter.put_compact(*pixel, out);
            }
        }
    }
}

fn put_palette(palette: &[u32], converter: &Converter, out: &mut Vec<u8>) {
    for pixel in palette {
        converter.put_compact(*pixel, out);
    }
}

/// Bits of an index in a packed palette.
fn index_bits(colours: usize) -> usize {
    match colours {
        0..=2 => 1,
        3..=4 => 2,
        _ => 4,
    }
}

fn put_packed(pixels: &[u32], width: usize, palette: &[u32], out: &mut Vec<u8>) {
    let bits = index_bits(palette.len());
    // Most pixels are like those before them.
    let (mut last, mut index) = (palette[0], 0);
    for line in pixels.chunks(width.max(1)) {
        for pixels in line.chunks(8 / bits) {
            let mut byte = 0;
            for (at, pixel) in pixels.iter().enumerate() {
                if *pixel != last {
                    // As above.
                    (last, index) = (*pixel, place(palette, *pixel).unwrap_or(0) as u8);
                }
                byte |= index << (8 - bits * (at + 1));
            }
            out.push(byte);
        }
    }
}

/// A run's length, less one, as bytes to be summed.
fn put_length(length: usize, out: &mut Vec<u8>) {
    let less = length - 1;
    out.extend(core::iter::repeat_n(255, less / 255));
    out.push((less % 255) as u8);
}
