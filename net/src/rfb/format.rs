//! Pixels as a client wants them.

/// How a client's pixels look (RFC 6143, 7.4). Its fields are as a client says them, within what pixels can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// 1, 2 or 4 bytes a pixel.
    pub bytes: usize,
    /// Bits of it that count.
    pub depth: u8,
    /// The order of its bytes.
    pub order: Order,
    /// Whether it is a colour or a number of one.
    pub colour: Colour,
    /// The largest red, green and blue.
    pub max: [u16; 3],
    /// How far they are to the left.
    pub shift: [u8; 3],
}

/// An order of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The least significant first.
    Little,
    /// The most significant first.
    Big,
}

/// What a pixel means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Itself.
    True,
    /// An entry of a map, which is filled with [`PixelFormat::MAP`]'s colours.
    Mapped,
}

impl PixelFormat {
    /// What pictures have: `00RRGGBBh`.
    pub const NATIVE: Self = Self {
        bytes: 4,
        depth: 24,
        order: Order::Little,
        colour: Colour::True,
        max: [255; 3],
        shift: [16, 8, 0],
    };

    /// The colours of a map: three bits of blue, three of green, two of red... of an entry's number.
    pub const MAP: Self = Self {
        bytes: 1,
        depth: 8,
        order: Order::Little,
        colour: Colour::Mapped,
        max: [7, 7, 3],
        shift: [0, 3, 6],
    };

    /// Entries of a map.
    pub const MAP_ENTRIES: u16 = 256;

    /// Reads the 16 bytes of a message; `None` if pixels cannot be so.
    pub fn read(bytes: &[u8; 16]) -> Option<Self> {
        let [bits, depth, big, true_colour, ..] = *bytes;
        if !matches!(bits, 8 | 16 | 32) {
            return None;
        }
        if true_colour == 0 {
            // Maps have 256 entries, whatever the pixel's size.
            return (bits == 8).then_some(Self::MAP);
        }
        let max = [4, 6, 8].map(|at| u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let shift = [bytes[10], bytes[11], bytes[12]];
        let fits = max
            .iter()
            .zip(shift)
            .all(|(&max, shift)| shift < bits && u64::from(max) << shift < 1 << bits);
        fits.then_some(Self {
            bytes: usize::from(bits / 8),
            depth,
            order: if big != 0 { Order::Big } else { Order::Little },
            colour: Colour::True,
            max,
            shift,
        })
    }

    /// The 16 bytes of a message.
    pub fn write(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = self.bytes as u8 * 8;
        bytes[1] = self.depth;
        bytes[2] = u8::from(self.order == Order::Big);
        bytes[3] = u8::from(self.colour == Colour::True);
        for (at, max) in [4, 6, 8].into_iter().zip(self.max) {
            bytes[at..at + 2].copy_from_slice(&max.to_be_bytes());
        }
        bytes[10..13].copy_from_slice(&self.shift);
        bytes
    }

    /// The three bytes that count of a pixel of four in ZRLE, as an offset among them (RFC 6143, 7.7.5: CPIXEL); `None`: all bytes.
    fn compact(self) -> Option<usize> {
        if self.bytes != 4 || self.colour == Colour::Mapped || self.depth > 24 {
            return None;
        }
        let bits = self
            .max
            .iter()
            .zip(self.shift)
            .fold(0_u32, |all, (&max, shift)| all | u32::from(max) << shift);
        let (low, high) = (bits & 0xff00_0000 == 0, bits & 0xff == 0);
        match (low, high, self.order) {
            (true, _, Order::Little) | (false, true, Order::Big) => Some(0),
            (true, _, Order::Big) | (false, true, Order::Little) => Some(1),
            (false, false, _) => None,
        }
    }
}

/// Makes pixels of a format out of a picture's.
pub struct Converter {
    format: PixelFormat,
    /// What each value of red, green and blue adds.
    parts: [[u32; 256]; 3],
    compact: Option<usize>,
}

impl Converter {
    /// For this format.
    pub fn new(format: PixelFormat) -> Self {
        let mut parts = [[0; 256]; 3];
        for ((part, max), shift) in parts.iter_mut().zip(format.max).zip(format.shift) {
            for (value, entry) in (0_u32..).zip(part) {
                *entry = ((value * u32::from(max) + 127) / 255) << shift;
            }
        }
        Self {
            format,
            parts,
            compact: format.compact(),
        }
    }

    /// Its format.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The client's pixel for a picture's.
    pub fn pixel(&self, rgb: u32) -> u32 {
        let [_, red, green, blue] = rgb.to_be_bytes();
        let [reds, greens, blues] = &self.parts;
        reds[usize::from(red)] | greens[usize::from(green)] | blues[usize::from(blue)]
    }

    /// Makes the client's pixels of a picture's.
    pub fn convert(&self, pixels: &mut [u32]) {
        if self.format != PixelFormat::NATIVE {
            for pixel in pixels {
                *pixel = self.pixel(*pixel);
            }
        }
    }

    /// Appends a pixel of the client's.
    pub fn put(&self, pixel: u32, out: &mut alloc::vec::Vec<u8>) {
        let count = self.format.bytes;
        match self.format.order {
            Order::Little => out.extend_from_slice(&pixel.to_le_bytes()[..count]),
            Order::Big => out.extend_from_slice(&pixel.to_be_bytes()[4 - count..]),
        }
    }

    /// The same as ZRLE has it.
    pub fn put_compact(&self, pixel: u32, out: &mut alloc::vec::Vec<u8>) {
        let Some(from) = self.compact else {
            return self.put(pixel, out);
        };
        let bytes = match self.format.order {
            Order::Little => pixel.to_le_bytes(),
            Order::Big => pixel.to_be_bytes(),
        };
        out.extend_from_slice(&bytes[from..from + 3]);
    }

    /// Bytes of a pixel in ZRLE.
    pub fn compact_bytes(&self) -> usize {
        match self.compact {
            Some(_) => 3,
            None => self.format.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn native_pixels_are_themselves() {
        let converter = Converter::new(PixelFormat::NATIVE);
        assert_eq!(converter.pixel(0x00ab_cdef), 0x00ab_cdef);
        let mut pixels = [0x00ab_cdef];
        converter.convert(&mut pixels);
        assert_eq!(pixels, [0x00ab_cdef]);
        let mut out = Vec::new();
        converter.put(0x00ab_cdef, &mut out);
        converter.put_compact(0x00ab_cdef, &mut out);
        assert_eq!(out, [0xef, 0xcd, 0xab, 0, 0xef, 0xcd, 0xab]);
        let written = PixelFormat::NATIVE.write();
        assert_eq!(PixelFormat::read(&written), Some(PixelFormat::NATIVE));
    }

    #[test]
    fn big_endian_and_high_colours() {
        let format = PixelFormat {
            order: Order::Big,
            shift: [24, 16, 8],
            ..PixelFormat::NATIVE
        };
        let converter = Converter::new(format);
        let mut out = Vec::new();
        converter.put_compact(converter.pixel(0x00ab_cdef), &mut out);
        assert_eq!(out, [0xab, 0xcd, 0xef]);
        let sixteen = PixelFormat {
            bytes: 2,
            depth: 16,
            max: [31, 63, 31],
            shift: [11, 5, 0],
            ..PixelFormat::NATIVE
        };
        assert_eq!(Converter::new(sixteen).pixel(0x00ff_ffff), 0xffff);
        let mut pixels = [0x00ff_0000];
        Converter::new(sixteen).convert(&mut pixels);
        assert_eq!(pixels, [0xf800]);
    }

    proptest! {
        #[test]
        fn any_format_is_refused_or_holds_its_pixels(bytes: [u8; 16], rgb in 0_u32..1 << 24) {
            if let Some(format) = PixelFormat::read(&bytes) {
                let converter = Converter::new(format);
                let pixel = converter.pixel(rgb);
                prop_assert!(u64::from(pixel) < 1 << (8 * format.bytes));
                let mut out = Vec::new();
                converter.put_compact(pixel, &mut out);
                prop_assert_eq!(out.len(), converter.compact_bytes());
            }
        }
    }
}
