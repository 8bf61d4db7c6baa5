//! The modes of a VGA, as register values (IBM PS/2 Hardware Interface Technical Reference, "Video subsystem"; IBM VGA
//! BIOS parameter tables).

/// How a mode's memory is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Character and attribute bytes.
    Text,
    /// CGA graphics, two bits a pixel, even and odd lines 2000h apart.
    Cga4,
    /// CGA graphics, one bit a pixel.
    Cga2,
    /// Four planes.
    Planar,
    /// One byte a pixel.
    Packed,
}

/// Which 256 colours the DAC gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dac {
    /// Shades for the monochrome attributes.
    Mono,
    /// 16 colours of the CGA, addressed by its attribute values.
    Cga,
    /// 64 colours of the EGA.
    Ega,
    /// The 256 colours of mode 13h.
    Vga,
}

/// One mode.
#[derive(Debug, PartialEq, Eq)]
pub struct Mode {
    pub number: u8,
    pub layout: Layout,
    pub dac: Dac,
    pub columns: u8,
    pub rows: u8,
    pub character_height: u8,
    /// Segment of its memory.
    pub segment: u16,
    /// Bytes from page to page.
    pub page_bytes: u16,
    pub miscellaneous: u8,
    /// Sequencer, registers 1 to 4.
    pub sequencer: [u8; 4],
    /// CRT controller, registers 0 to 18h.
    pub crtc: [u8; 25],
    /// Attribute controller, registers 0 to 13h.
    pub attribute: [u8; 20],
    /// Graphics controller, registers 0 to 8.
    pub graphics: [u8; 9],
}

impl Mode {
    /// Colours that it shows at once, and how many lines it has: 0 for 200, 1 for 350, 2 for 400, 3 for 480, as
    /// function 1Bh numbers them.
    pub fn shown(&self) -> (u16, u8) {
        let colours = match (self.layout, self.number) {
            (Layout::Cga4, _) => 4,
            (Layout::Cga2, _) | (_, 7 | 0x0f | 0x11) => 2,
            (Layout::Packed, _) => 256,
            _ => 16,
        };
        let lines = match self.number {
            0..=3 | 7 => 2,
            0x0f | 0x10 => 1,
            0x11 | 0x12 => 3,
            _ => 0,
        };
        (colours, lines)
    }

    /// Pages of its memory.
    pub fn pages(&self) -> u8 {
        match self.layout {
            Layout::Text => 8,
            Layout::Planar => (0x1_0000 / u32::from(self.page_bytes.max(1))).clamp(1, 8) as u8,
            Layout::Cga4 | Layout::Cga2 | Layout::Packed => 1,
        }
    }
}

const TEXT_40: [u8; 25] = [
    0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
    0x8f, 0x14, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];
const TEXT_80: [u8; 25] = [
    0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e,
    0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
];

/// CRT controller values of the graphics modes: 320 or 640 pixels wide at 200 lines (each shown twice).
const fn wide_200(columns: u8, maximum_scan_line: u8, underline: u8, mode: u8) -> [u8; 25] {
    let (timing, offset) = if columns == 40 {
        ([0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80], 0x14)
    } else {
        ([0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80], 0x28)
    };
    [
        timing[0],
        timing[1],
        timing[2],
        timing[3],
        timing[4],
        timing[5],
        0xbf,
        0x1f,
        0x00,
        maximum_scan_line,
        0,
        0,
        0,
        0,
        0,
        0,
        0x9c,
        0x8e,
        0x8f,
        offset,
        underline,
        0x96,
        0xb9,
        mode,
        0xff,
    ]
}

const fn lines_350(underline: u8) -> [u8; 25] {
    [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0x83, 0x85,
        0x5d, 0x28, underline, 0x63, 0xba, 0xe3, 0xff,
    ]
}

const fn lines_480(mode: u8) -> [u8; 25] {
    [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c,
        0xdf, 0x28, 0x00, 0xe7, 0x04, mode, 0xff,
    ]
}

/// Palette registers 0 to 15, then mode control, overscan, plane enable and panning.
const fn attribute(palette: [u8; 16], mode: u8, planes: u8, panning: u8) -> [u8; 20] {
    let mut registers = [0; 20];
    let mut index = 0;
    while index < 16 {
        registers[index] = palette[index];
        index += 1;
    }
    registers[16] = mode;
    registers[18] = planes;
    registers[19] = panning;
    registers
}

const EGA_PALETTE: [u8; 16] = [
    0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
];
const CGA_PALETTE: [u8; 16] = [
    0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
];
const CGA4_PALETTE: [u8; 16] = [
    0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
];
const CGA2_PALETTE: [u8; 16] = [
    0, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
];
const MONO_TEXT_PALETTE: [u8; 16] = [
    0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18,
];
const MONO_PALETTE: [u8; 16] = [0, 8, 0, 0, 0x18, 0x18, 0, 0, 0, 8, 0, 0, 0, 0x18, 0, 0];
const TWO_COLOURS: [u8; 16] = [
    0, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
];
const STRAIGHT: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Mode register, miscellaneous and colour don't care; the bit mask is always FFh.
const fn graphics(mode: u8, miscellaneous: u8, care: u8) -> [u8; 9] {
    [0, 0, 0, 0, 0, mode, miscellaneous, care, 0xff]
}

const fn text(number: u8, columns: u8) -> Mode {
    let wide = columns == 80;
    Mode {
        number,
        layout: Layout::Text,
        dac: Dac::Ega,
        columns,
        rows: 25,
        character_height: 16,
        segment: 0xb800,
        page_bytes: if wide { 0x1000 } else { 0x800 },
        miscellaneous: 0x67,
        sequencer: [if wide { 0 } else { 8 }, 3, 0, 2],
        crtc: if wide { TEXT_80 } else { TEXT_40 },
        attribute: attribute(EGA_PALETTE, 0x0c, 0x0f, 8),
        graphics: graphics(0x10, 0x0e, 0),
    }
}

const fn cga4(number: u8) -> Mode {
    Mode {
        number,
        layout: Layout::Cga4,
        dac: Dac::Cga,
        columns: 40,
        rows: 25,
        character_height: 8,
        segment: 0xb800,
        page_bytes: 0x4000,
        miscellaneous: 0x63,
        sequencer: [9, 3, 0, 2],
        crtc: wide_200(40, 0xc1, 0, 0xa2),
        attribute: attribute(CGA4_PALETTE, 1, 3, 0),
        graphics: graphics(0x30, 0x0f, 0),
    }
}

const fn planar(number: u8, columns: u8, rows: u8, character_height: u8) -> Mode {
    Mode {
        number,
        layout: Layout::Planar,
        dac: Dac::Ega,
        columns,
        rows,
        character_height,
        segment: 0xa000,
        page_bytes: 0,
        miscellaneous: 0xe3,
        sequencer: [1, 0x0f, 0, 6],
        crtc: lines_480(0xe3),
        attribute: attribute(EGA_PALETTE, 1, 0x0f, 0),
        graphics: graphics(0, 5, 0x0f),
    }
}

/// All modes of a VGA.
pub static MODES: [Mode; 15] = [
    text(0, 40),
    text(1, 40),
    text(2, 80),
    text(3, 80),
    cga4(4),
    cga4(5),
    Mode {
        number: 6,
        layout: Layout::Cga2,
        columns: 80,
        sequencer: [1, 1, 0, 6],
        crtc: wide_200(80, 0xc1, 0, 0xc2),
        attribute: attribute(CGA2_PALETTE, 1, 1, 0),
        graphics: graphics(0, 0x0d, 0),
        ..cga4(6)
    },
    Mode {
        number: 7,
        dac: Dac::Mono,
        segment: 0xb000,
        miscellaneous: 0x66,
        crtc: {
            let mut crtc = TEXT_80;
            crtc[0x14] = 0x0f;
            crtc
        },
        attribute: attribute(MONO_TEXT_PALETTE, 0x0e, 0x0f, 8),
        graphics: graphics(0x10, 0x0a, 0),
        ..text(7, 80)
    },
    Mode {
        dac: Dac::Cga,
        page_bytes: 0x2000,
        miscellaneous: 0x63,
        sequencer: [9, 0x0f, 0, 6],
        crtc: wide_200(40, 0xc0, 0, 0xe3),
        attribute: attribute(CGA_PALETTE, 1, 0x0f, 0),
        ..planar(0x0d, 40, 25, 8)
    },
    Mode {
        dac: Dac::Cga,
        page_bytes: 0x4000,
        miscellaneous: 0x63,
        crtc: wide_200(80, 0xc0, 0, 0xe3),
        attribute: attribute(CGA_PALETTE, 1, 0x0f, 0),
        ..planar(0x0e, 80, 25, 8)
    },
    Mode {
        dac: Dac::Mono,
        page_bytes: 0x8000,
        miscellaneous: 0xa2,
        crtc: lines_350(0x0d),
        attribute: attribute(MONO_PALETTE, 0x0b, 5, 0),
        graphics: graphics(0, 5, 5),
        ..planar(0x0f, 80, 25, 14)
    },
    Mode {
        page_bytes: 0x8000,
        miscellaneous: 0xa3,
        crtc: lines_350(0x0f),
        ..planar(0x10, 80, 25, 14)
    },
    Mode {
        page_bytes: 0xa000,
        crtc: lines_480(0xc3),
        attribute: attribute(TWO_COLOURS, 1, 0x0f, 0),
        graphics: graphics(0, 5, 1),
        ..planar(0x11, 80, 30, 16)
    },
    Mode {
        page_bytes: 0xa000,
        ..planar(0x12, 80, 30, 16)
    },
    Mode {
        layout: Layout::Packed,
        dac: Dac::Vga,
        page_bytes: 0xfa00,
        miscellaneous: 0x63,
        sequencer: [1, 0x0f, 0, 0x0e],
        crtc: wide_200(80, 0x41, 0x40, 0xa3),
        attribute: attribute(STRAIGHT, 0x41, 0x0f, 0),
        graphics: graphics(0x40, 5, 0x0f),
        ..planar(0x13, 40, 25, 8)
    },
];

/// The mode of that number (bit 7 aside).
pub fn find(number: u8) -> Option<&'static Mode> {
    MODES.iter().find(|mode| mode.number == number & 0x7f)
}
