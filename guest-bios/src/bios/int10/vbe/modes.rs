//! The modes: sizes and depths under the numbers that VBE gave them, and under those of its own for depths of 32 bits
//! and sizes that VBE did not number, which are the ones that Bochs' and QEMU's BIOSes use.

/// One mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub number: u16,
    pub width: u16,
    pub height: u16,
    /// Bits a pixel: 8, 15, 16, 24 or 32.
    pub depth: u8,
}

const fn mode(number: u16, width: u16, height: u16, depth: u8) -> Mode {
    Mode {
        number,
        width,
        height,
        depth,
    }
}

/// All of them.
pub static MODES: [Mode; 43] = [
    mode(0x100, 640, 400, 8),
    mode(0x101, 640, 480, 8),
    mode(0x103, 800, 600, 8),
    mode(0x105, 1024, 768, 8),
    mode(0x107, 1280, 1024, 8),
    mode(0x10d, 320, 200, 15),
    mode(0x10e, 320, 200, 16),
    mode(0x10f, 320, 200, 24),
    mode(0x110, 640, 480, 15),
    mode(0x111, 640, 480, 16),
    mode(0x112, 640, 480, 24),
    mode(0x113, 800, 600, 15),
    mode(0x114, 800, 600, 16),
    mode(0x115, 800, 600, 24),
    mode(0x116, 1024, 768, 15),
    mode(0x117, 1024, 768, 16),
    mode(0x118, 1024, 768, 24),
    mode(0x119, 1280, 1024, 15),
    mode(0x11a, 1280, 1024, 16),
    mode(0x11b, 1280, 1024, 24),
    mode(0x11c, 1600, 1200, 8),
    mode(0x11d, 1600, 1200, 15),
    mode(0x11e, 1600, 1200, 16),
    mode(0x11f, 1600, 1200, 24),
    mode(0x140, 320, 200, 32),
    mode(0x141, 640, 400, 32),
    mode(0x142, 640, 480, 32),
    mode(0x143, 800, 600, 32),
    mode(0x144, 1024, 768, 32),
    mode(0x145, 1280, 1024, 32),
    mode(0x146, 320, 200, 8),
    mode(0x147, 1600, 1200, 32),
    mode(0x148, 1152, 864, 8),
    mode(0x14a, 1152, 864, 16),
    mode(0x14c, 1152, 864, 32),
    mode(0x178, 1280, 800, 16),
    mode(0x179, 1280, 800, 24),
    mode(0x17a, 1280, 800, 32),
    mode(0x17d, 1280, 960, 32),
    mode(0x180, 1440, 900, 32),
    mode(0x183, 1400, 1050, 32),
    mode(0x18c, 1920, 1200, 32),
    mode(0x192, 1920, 1080, 32),
];

/// Colour fields of a direct-colour pixel: size and lowest bit of red, green, blue and the unused rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(pub [(u8, u8); 4]);

impl Mode {
    /// The mode of that number.
    pub fn find(number: u16) -> Option<&'static Self> {
        MODES.iter().find(|mode| mode.number == number)
    }

    /// Bytes of a pixel.
    pub fn pixel_bytes(&self) -> u16 {
        u16::from(self.depth).div_ceil(8)
    }

    /// Bytes of a line.
    pub fn pitch(&self) -> u16 {
        self.width * self.pixel_bytes()
    }

    /// Bytes of a picture.
    pub fn bytes(&self) -> u32 {
        u32::from(self.pitch()) * u32::from(self.height)
    }

    /// Where the colours are.
    pub fn fields(&self) -> Fields {
        Fields(match self.depth {
            15 => [(5, 10), (5, 5), (5, 0), (1, 15)],
            16 => [(5, 11), (6, 5), (5, 0), (0, 0)],
            24 => [(8, 16), (8, 8), (8, 0), (0, 0)],
            32 => [(8, 16), (8, 8), (8, 0), (8, 24)],
            _ => [(0, 0); 4],
        })
    }
}
