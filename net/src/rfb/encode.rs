//! Rectangles of pixels in the encoding and the format that a viewer wants.

use super::bits::encoding;
use super::deflate::{Stream, Table};
use super::format::{Colour, Converter, PixelFormat};
use super::message::Pixels;
use super::{TILE_BYTES, hextile, write, zrle};
use alloc::vec::Vec;
use hvm::display::Rect;

/// Memory to work in, for any number of viewers.
pub struct Scratch {
    tile: Vec<u8>,
    table: Table,
}

impl Scratch {
    /// All memory is taken now.
    pub fn new() -> Self {
        Self {
            tile: Vec::with_capacity(TILE_BYTES),
            table: Table::new(),
        }
    }
}

/// A viewer's.
pub struct Encoder {
    converter: Converter,
    /// For the next update.
    next: Option<PixelFormat>,
    stream: Stream,
}

impl Encoder {
    /// In the format that is offered.
    pub fn new() -> Self {
        Self {
            converter: Converter::new(PixelFormat::NATIVE),
            next: None,
            stream: Stream::default(),
        }
    }

    /// The next update is to be in this format.
    pub fn want(&mut self, format: PixelFormat) {
        self.next = Some(format);
    }

    /// An update begins: true if its format is another than that of the one before, whose colours, if it has a map, go to `out`.
    pub fn take_format(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(format) = self.next.take() else {
            return false;
        };
        self.converter = Converter::new(format);
        if format.colour == Colour::Mapped {
            write::map(out);
        }
        true
    }

    /// Appends a rectangle, which is no larger than a tile; of `pixels` nothing is left.
    pub fn put(
        &mut self,
        rect: Rect,
        pixels: &mut [u32],
        encoding: Pixels,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) {
        self.converter.convert(pixels);
        let width = rect.width as usize;
        match encoding {
            Pixels::Raw => {
                write::header(rect, encoding::RAW, out);
                for pixel in pixels {
                    self.converter.put(*pixel, out);
                }
            }
            Pixels::Hextile => {
                write::header(rect, encoding::HEXTILE, out);
                hextile::encode(pixels, width, &self.converter, out);
            }
            Pixels::Zrle => {
                write::header(rect, encoding::ZRLE, out);
                scratch.tile.clear();
                zrle::encode(pixels, width, &self.converter, &mut scratch.tile);
                let length_at = out.len();
                out.extend_from_slice(&[0; 4]);
                self.stream.compress(&scratch.tile, &mut scratch.table, out);
                let length = (out.len() - length_at - 4) as u32;
                out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
    }
}
