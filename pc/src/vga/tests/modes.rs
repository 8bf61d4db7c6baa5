//! Standard modes (IBM PS/2 and PC BIOS Interface Technical Reference, video parameter tables).

use super::Machine;

pub(super) struct Mode {
    miscellaneous: u8,
    sequencer: [u8; 5],
    crtc: [u8; 25],
    graphics: [u8; 9],
    attribute: [u8; 21],
}

const EGA_PALETTE: [u8; 16] = [
    0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
];

const fn attribute(palette: [u8; 16], control: [u8; 5]) -> [u8; 21] {
    let mut all = [0; 21];
    let mut index = 0;
    while index < 21 {
        all[index] = if index < 16 {
            palette[index]
        } else {
            control[index - 16]
        };
        index += 1;
    }
    all
}

/// 80 by 25 characters of 9 by 16 dots.
pub(super) const TEXT: Mode = Mode {
    miscellaneous: 0x67,
    sequencer: [3, 0, 3, 0, 2],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c,
        0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ],
    graphics: [0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff],
    attribute: attribute(EGA_PALETTE, [0x0c, 0, 0x0f, 8, 0]),
};

/// 320 by 200 pixels in four colours, as on the CGA.
pub(super) const MODE_4: Mode = Mode {
    miscellaneous: 0x63,
    sequencer: [3, 9, 3, 0, 2],
    crtc: [
        0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
        0x8f, 0x14, 0, 0x96, 0xb9, 0xa2, 0xff,
    ],
    graphics: [0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff],
    attribute: attribute(
        [
            0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
        ],
        [1, 0, 3, 0, 0],
    ),
};

/// 640 by 200 pixels in two colours, as on the CGA.
pub(super) const MODE_6: Mode = Mode {
    miscellaneous: 0x63,
    sequencer: [3, 1, 1, 0, 6],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
        0x8f, 0x28, 0, 0x96, 0xb9, 0xc2, 0xff,
    ],
    graphics: [0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff],
    attribute: attribute([0x17; 16], [1, 0, 1, 0, 0]),
};

/// 640 by 480 pixels in sixteen colours.
pub(super) const MODE_12: Mode = Mode {
    miscellaneous: 0xe3,
    sequencer: [3, 1, 0x0f, 0, 6],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c,
        0xdf, 0x28, 0, 0xe7, 0x04, 0xe3, 0xff,
    ],
    graphics: [0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff],
    attribute: attribute(EGA_PALETTE, [1, 0, 0x0f, 0, 0]),
};

/// 320 by 200 pixels in 256 colours.
pub(super) const MODE_13: Mode = Mode {
    miscellaneous: 0x63,
    sequencer: [3, 1, 0x0f, 0, 0x0e],
    crtc: [
        0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e,
        0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff,
    ],
    graphics: [0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff],
    attribute: attribute(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [0x41, 0, 0x0f, 0, 0],
    ),
};

pub(super) const ALL: [&Mode; 5] = [&TEXT, &MODE_4, &MODE_6, &MODE_12, &MODE_13];

impl Machine {
    /// Sets a mode as firmware does, with DAC address `n` showing `n` in each component.
    pub(super) fn set_mode(&mut self, mode: &Mode) {
        self.outb(0x3c2, mode.miscellaneous);
        for (index, value) in (0..).zip(mode.sequencer) {
            self.outw(0x3c4, index, value);
        }
        self.outw(0x3d4, 0x11, 0);
        for (index, value) in (0..).zip(mode.crtc) {
            self.outw(0x3d4, index, value);
        }
        for (index, value) in (0..).zip(mode.graphics) {
            self.outw(0x3ce, index, value);
        }
        for (index, value) in (0..).zip(mode.attribute) {
            self.set_attribute(index, value);
        }
        self.inb(0x3da);
        self.outb(0x3c0, 0x20);
        self.outb(0x3c6, 0xff);
        self.outb(0x3c8, 0);
        for address in 0..=255 {
            for _ in 0..3 {
                self.adapter.vga().port_write(0x3c9, address);
            }
        }
    }

    /// From 13h to four maps without chain 4, as games do it ("mode X", but for its 240 lines).
    pub(super) fn unchain(&mut self) {
        self.outw(0x3c4, 4, 6);
        self.outw(0x3d4, 0x14, 0);
        self.outw(0x3d4, 0x17, 0xe3);
    }
}

/// What DAC address `n` shows after [`Machine::set_mode`].
pub(super) fn gray(address: u8) -> u32 {
    let component = address & 0x3f;
    u32::from(component << 2 | component >> 4) * 0x01_0101
}
