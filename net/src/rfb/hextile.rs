//! A rectangle in hextiles (RFC 6143, 7.7.4).

use super::bits::hextile::{ANY_SUBRECTS, BACKGROUND, FOREGROUND, RAW, SUBRECTS_COLOURED};
use super::format::Converter;
use alloc::vec::Vec;

/// Pixels of a hextile's side.
const SIDE: usize = 16;

/// A part of one colour in a hextile.
#[derive(Clone, Copy)]
struct Subrect {
    pixel: u32,
    x: u8,
    y: u8,
    width: u8,
    height: u8,
}

/// Appends a rectangle of `width` pixels a line, in the client's pixels. At most its raw length and a byte a hextile.
pub fn encode(pixels: &[u32], width: usize, converter: &Converter, out: &mut Vec<u8>) {
    let height = pixels.len() / width.max(1);
    for top in (0..height).step_by(SIDE) {
        for left in (0..width).step_by(SIDE) {
            let (columns, rows) = (SIDE.min(width - left), SIDE.min(height - top));
            let mut tile = [0; SIDE * SIDE];
            for row in 0..rows {
                let from = (top + row) * width + left;
                tile[row * columns..(row + 1) * columns]
                    .copy_from_slice(&pixels[from..from + columns]);
            }
            encode_tile(&tile[..rows * columns], columns, converter, out);
        }
    }
}

/// Every tile names its colours, so that none depends on the one before.
fn encode_tile(tile: &[u32], width: usize, converter: &Converter, out: &mut Vec<u8>) {
    let background = most_common(tile);
    let start = out.len();
    let raw_bytes = tile.len() * converter.format().bytes;
    let mut others = tile.iter().filter(|pixel| **pixel != background);
    let Some(&foreground) = others.next() else {
        out.push(BACKGROUND);
        return converter.put(background, out);
    };
    let is_mono = others.all(|pixel| *pixel == foreground);
    if is_mono {
        out.push(BACKGROUND | FOREGROUND | ANY_SUBRECTS);
        converter.put(background, out);
        converter.put(foreground, out);
    } else {
        out.push(BACKGROUND | ANY_SUBRECTS | SUBRECTS_COLOURED);
        converter.put(background, out);
    }
    let count_at = out.len();
    out.push(0);
    let mut count = 0_usize;
    let is_short = subrects(tile, width, background, |subrect| {
        if !is_mono {
            converter.put(subrect.pixel, out);
        }
        out.push(subrect.x << 4 | subrect.y);
        out.push((subrect.width - 1) << 4 | (subrect.height - 1));
        count += 1;
        count <= usize::from(u8::MAX) && out.len() - start <= raw_bytes
    });
    if is_short {
        out[count_at] = count as u8;
        return;
    }
    out.truncate(start);
    out.push(RAW);
    for pixel in tile {
        converter.put(*pixel, out);
    }
}

/// The pixel that most likely is the most common: the majority, if there is one (Boyer and Moore's vote).
fn most_common(tile: &[u32]) -> u32 {
    let mut candidate = 0;
    let mut votes = 0_usize;
    for &pixel in tile {
        match votes {
            0 => (candidate, votes) = (pixel, 1),
            _ if pixel == candidate => votes += 1,
            _ => votes -= 1,
        }
    }
    candidate
}

/// Covers everything but the background, until `found` says that it is enough: then false.
fn subrects(
    tile: &[u32],
    width: usize,
    background: u32,
    mut found: impl FnMut(Subrect) -> bool,
) -> bool {
    let height = tile.len() / width;
    let mut done = [false; SIDE * SIDE];
    for at in 0..tile.len() {
        let pixel = tile[at];
        if done[at] || pixel == background {
            continue;
        }
        let (x, y) = (at % width, at / width);
        let free = |x: usize, y: usize, done: &[bool]| {
            tile[y * width + x] == pixel && !done[y * width + x]
        };
        let right = (x..width).find(|x| !free(*x, y, &done)).unwrap_or(width);
        let whole = |y: usize, done: &[bool]| (x..right).all(|x| free(x, y, done));
        let bottom = (y..height).find(|y| !whole(*y, &done)).unwrap_or(height);
        for row in y..bottom {
            done[row * width + x..row * width + right].fill(true);
        }
        let subrect = Subrect {
            pixel,
            x: x as u8,
            y: y as u8,
            width: (right - x) as u8,
            height: (bottom - y) as u8,
        };
        if !found(subrect) {
            return false;
        }
    }
    true
}
