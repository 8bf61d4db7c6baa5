//! A viewer for tests: it decodes what a session says, by the RFC, and with another's decompressor.

use super::format::{Order, PixelFormat};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};
use std::boxed::Box;
use std::vec::Vec;

/// The other end of a zlib stream.
pub struct Inflate(Box<InflateState>);

impl Default for Inflate {
    fn default() -> Self {
        Self(InflateState::new_boxed(DataFormat::Zlib))
    }
}

impl Inflate {
    /// What a piece of the stream holds: all of it can be had now.
    pub fn piece(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let result = inflate(&mut self.0, bytes, &mut chunk, MZFlush::Sync);
            bytes = &bytes[result.bytes_consumed..];
            out.extend(&chunk[..result.bytes_written]);
            if result.bytes_written == 0 && bytes.is_empty() {
                return out;
            }
            if result.bytes_written == 0 && result.bytes_consumed == 0 {
                panic!("{:?} with {} bytes left", result.status, bytes.len());
            }
        }
    }
}

/// Bytes in order.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn pixel(&mut self, bytes: usize, order: Order) -> u32 {
        let taken = self.take(bytes).to_vec();
        let step = |all: u32, byte: &u8| all << 8 | u32::from(*byte);
        match order {
            Order::Big => taken.iter().fold(0, step),
            Order::Little => taken.iter().rev().fold(0, step),
        }
    }
}

/// What a viewer has.
pub struct Screen {
    pub width: usize,
    pub height: usize,
    /// In the viewer's pixels.
    pub pixels: Vec<u32>,
    pub format: PixelFormat,
    /// Pseudo-encodings that came.
    pub told: Vec<i32>,
    /// Messages that are no updates.
    pub others: Vec<u8>,
    pub updates: usize,
    /// Rectangles that were copied.
    pub copies: usize,
    inflate: Inflate,
}

impl Screen {
    pub fn new(width: u16, height: u16) -> Self {
        let (width, height) = (usize::from(width), usize::from(height));
        Self {
            width,
            height,
            pixels: std::vec![0xdead_beef; width * height],
            format: PixelFormat::NATIVE,
            told: Vec::new(),
            others: Vec::new(),
            updates: 0,
            copies: 0,
            inflate: Inflate::default(),
        }
    }

    /// Takes whole messages.
    pub fn heed(&mut self, bytes: &[u8]) {
        let mut bytes = Bytes(bytes);
        while !bytes.0.is_empty() {
            match bytes.u8() {
                0 => {
                    self.updates += 1;
                    bytes.u8();
                    for _ in 0..bytes.u16() {
                        self.rect(&mut bytes);
                    }
                }
                1 => {
                    bytes.take(3);
                    let entries = usize::from(bytes.u16());
                    bytes.take(6 * entries);
                    self.others.push(1);
                }
                150 => self.others.push(150),
                248 => {
                    bytes.take(7);
                    let length = usize::from(bytes.u8());
                    bytes.take(length);
                    self.others.push(248);
                }
                kind => panic!("message {kind}"),
            }
        }
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, pixel: u32) {
        for row in y..y + height {
            self.pixels[row * self.width + x..row * self.width + x + width].fill(pixel);
        }
    }

    fn rect(&mut self, bytes: &mut Bytes) {
        let [x, y, width, height] = [0; 4].map(|_| usize::from(bytes.u16()));
        let encoding = bytes.u32() as i32;
        let (pixel_bytes, order) = (self.format.bytes, self.format.order);
        match encoding {
            0 => {
                for row in 0..height {
                    for column in 0..width {
                        let pixel = bytes.pixel(pixel_bytes, order);
                        self.fill(x + column, y + row, 1, 1, pixel);
                    }
                }
            }
            1 => {
                let (from_x, from_y) = (usize::from(bytes.u16()), usize::from(bytes.u16()));
                let lines: Vec<_> = (from_y..from_y + height)
                    .map(|line| {
                        let start = line * self.width + from_x;
                        self.pixels[start..start + width].to_vec()
                    })
                    .collect();
                for (row, line) in lines.iter().enumerate() {
                    let start = (y + row) * self.width + x;
                    self.pixels[start..start + width].copy_from_slice(line);
                }
                self.copies += 1;
            }
            5 => self.hextiles(x, y, width, height, bytes),
            16 => {
                let length = bytes.u32() as usize;
                let piece = self.inflate.piece(bytes.take(length));
                let mut piece = Bytes(&piece);
                self.zrle(x, y, width, height, &mut piece);
                assert!(piece.0.is_empty());
            }
            -223 | -308 => {
                if encoding == -308 {
                    bytes.take(20);
                }
                if (width, height) != (self.width, self.height) {
                    (self.width, self.height) = (width, height);
                    self.pixels = std::vec![0xdead_beef; width * height];
                }
                self.told.push(encoding);
            }
            -239 | -258 => self.told.push(encoding),
            -261 => {
                bytes.u8();
                self.told.push(encoding);
            }
            other => panic!("encoding {other}"),
        }
    }

    fn hextiles(&mut self, x: usize, y: usize, width: usize, height: usize, bytes: &mut Bytes) {
        let (count, order) = (self.format.bytes, self.format.order);
        let (mut background, mut foreground) = (0, 0);
        for top in (0..height).step_by(16) {
            for left in (0..width).step_by(16) {
                let (columns, rows) = (16.min(width - left), 16.min(height - top));
                let kind = bytes.u8();
                if kind & 1 != 0 {
                    for row in 0..rows {
                        for column in 0..columns {
                            let pixel = bytes.pixel(count, order);
                            self.fill(x + left + column, y + top + row, 1, 1, pixel);
                        }
                    }
                    continue;
                }
                if kind & 2 != 0 {
                    background = bytes.pixel(count, order);
                }
                self.fill(x + left, y + top, columns, rows, background);
                if kind & 4 != 0 {
                    foreground = bytes.pixel(count, order);
                }
                if kind & 8 == 0 {
                    continue;
                }
                for _ in 0..bytes.u8() {
                    if kind & 16 != 0 {
                        foreground = bytes.pixel(count, order);
                    }
                    let (place, extent) = (usize::from(bytes.u8()), usize::from(bytes.u8()));
                    let (dx, dy) = (place >> 4, place & 15);
                    let (w, h) = ((extent >> 4) + 1, (extent & 15) + 1);
                    assert!(dx + w <= columns && dy + h <= rows);
                    self.fill(x + left + dx, y + top + dy, w, h, foreground);
                }
            }
        }
    }

    /// A CPIXEL: where the format's colours fit into three bytes, those.
    fn compact(&self, bytes: &mut Bytes) -> u32 {
        let PixelFormat {
            bytes: count,
            order,
            depth,
            max,
            shift,
            ..
        } = self.format;
        let top = (0..3).map(|at| 16 - max[at].leading_zeros() + u32::from(shift[at]));
        let (top, low) = (top.max().unwrap(), *shift.iter().min().unwrap());
        if count == 4 && depth <= 24 && top <= 24 {
            bytes.pixel(3, order)
        } else if count == 4 && depth <= 24 && low >= 8 {
            bytes.pixel(3, order) << 8
        } else {
            bytes.pixel(count, order)
        }
    }

    fn zrle(&mut self, x: usize, y: usize, width: usize, height: usize, bytes: &mut Bytes) {
        for top in (0..height).step_by(64) {
            for left in (0..width).step_by(64) {
                let (columns, rows) = (64.min(width - left), 64.min(height - top));
                let tile = self.zrle_tile(columns, rows, bytes);
                for (at, pixel) in tile.into_iter().enumerate() {
                    self.fill(x + left + at % columns, y + top + at / columns, 1, 1, pixel);
                }
            }
        }
    }

    fn zrle_tile(&mut self, columns: usize, rows: usize, bytes: &mut Bytes) -> Vec<u32> {
        let area = columns * rows;
        let kind = bytes.u8();
        let colours = usize::from(kind & 127);
        let mut tile = Vec::new();
        let run = |bytes: &mut Bytes| {
            let mut length = 1;
            loop {
                let more = usize::from(bytes.u8());
                length += more;
                if more != 255 {
                    return length;
                }
            }
        };
        match kind {
            0 => tile.extend((0..area).map(|_| self.compact(bytes))),
            1 => tile.resize(area, self.compact(bytes)),
            2..=16 => {
                let palette: Vec<_> = (0..colours).map(|_| self.compact(bytes)).collect();
                let bits = match colours {
                    2 => 1,
                    3 | 4 => 2,
                    _ => 4,
                };
                for _ in 0..rows {
                    let line = bytes.take((columns * bits).div_ceil(8)).to_vec();
                    for column in 0..columns {
                        let at = column * bits;
                        let index = line[at / 8] >> (8 - bits - at % 8) & ((1 << bits) - 1);
                        tile.push(palette[usize::from(index)]);
                    }
                }
            }
            128 => {
                while tile.len() < area {
                    let pixel = self.compact(bytes);
                    let length = run(bytes);
                    tile.resize(tile.len() + length, pixel);
                }
            }
            130.. => {
                let palette: Vec<_> = (0..colours).map(|_| self.compact(bytes)).collect();
                while tile.len() < area {
                    let index = bytes.u8();
                    let pixel = palette[usize::from(index & 127)];
                    let length = match index & 128 {
                        0 => 1,
                        _ => run(bytes),
                    };
                    tile.resize(tile.len() + length, pixel);
                }
            }
            _ => panic!("subencoding {kind}"),
        }
        assert_eq!(tile.len(), area);
        tile
    }
}
