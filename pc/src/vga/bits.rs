//! Ports and registers of a VGA (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; R. Ferraro,
//! Programmer's Guide to the EGA, VGA and Super VGA Cards), and of the Bochs display interface.

/// Ports that do not move.
pub(super) mod port {
    /// Attribute controller: index and data in turn.
    pub const ATTRIBUTE: u16 = 0x3c0;
    /// Attribute controller: data, to read.
    pub const ATTRIBUTE_DATA: u16 = 0x3c1;
    /// Reads input status 0, writes miscellaneous output.
    pub const STATUS_0: u16 = 0x3c2;
    /// Video subsystem enable.
    pub const ENABLE: u16 = 0x3c3;
    pub const SEQUENCER_INDEX: u16 = 0x3c4;
    pub const SEQUENCER_DATA: u16 = 0x3c5;
    pub const PEL_MASK: u16 = 0x3c6;
    /// Writes the read address, reads the state.
    pub const DAC_READ: u16 = 0x3c7;
    pub const DAC_WRITE: u16 = 0x3c8;
    pub const DAC_DATA: u16 = 0x3c9;
    /// Feature control, to read.
    pub const FEATURE: u16 = 0x3ca;
    /// Miscellaneous output, to read.
    pub const MISCELLANEOUS: u16 = 0x3cc;
    pub const GRAPHICS_INDEX: u16 = 0x3ce;
    pub const GRAPHICS_DATA: u16 = 0x3cf;
    /// In monochrome emulation, the next ones are at 3Bxh.
    pub const CRTC_INDEX: u16 = 0x3d4;
    pub const CRTC_DATA: u16 = 0x3d5;
    /// Reads input status 1, writes feature control.
    pub const STATUS_1: u16 = 0x3da;
    /// From a port of monochrome emulation to that of colour emulation.
    pub const TO_COLOR: u16 = 0x20;
}

/// Miscellaneous output.
pub(super) mod misc {
    /// The CRT controller is at 3Dxh, not at 3Bxh.
    pub const COLOR: u8 = 1;
    /// The CPU reaches video memory.
    pub const ENABLE_RAM: u8 = 1 << 1;
    /// Clock select: 28.322 MHz instead of 25.175.
    pub const CLOCK_28_MHZ: u8 = 1 << 2;
}

/// Input status 0: the monitor's sense line. A colour monitor pulls it for dark and bright alike.
pub(super) const STATUS_0_SENSE: u8 = 1 << 4;
/// Input status 1: the beam is in a blanked part.
pub(super) const STATUS_1_BLANK: u8 = 1;
/// Input status 1: vertical retrace.
pub(super) const STATUS_1_RETRACE: u8 = 1 << 3;

/// Sequencer.
pub(super) mod sequencer {
    pub const CLOCKING: usize = 1;
    pub const MAP_MASK: usize = 2;
    pub const CHARACTER_MAP: usize = 3;
    pub const MEMORY_MODE: usize = 4;
    /// Bits that exist.
    pub const WRITABLE: [u8; 5] = [0x03, 0x3d, 0x0f, 0x3f, 0x0e];
    /// Clocking: characters are 8 dots wide, not 9.
    pub const EIGHT_DOTS: u8 = 1;
    /// Clocking: the dot clock is halved.
    pub const HALF_CLOCK: u8 = 1 << 3;
    /// Clocking: the screen is off.
    pub const SCREEN_OFF: u8 = 1 << 5;
    /// Memory mode: all addresses go to all maps; clear: even ones to maps 0 and 2, odd ones to 1 and 3.
    pub const SEQUENTIAL: u8 = 1 << 2;
    /// Memory mode: the low two bits of the address select the map.
    pub const CHAIN_4: u8 = 1 << 3;
}

/// Graphics controller.
pub(super) mod graphics {
    pub const SET_RESET: usize = 0;
    pub const ENABLE_SET_RESET: usize = 1;
    pub const COLOR_COMPARE: usize = 2;
    pub const ROTATE: usize = 3;
    pub const READ_MAP: usize = 4;
    pub const MODE: usize = 5;
    pub const MISCELLANEOUS: usize = 6;
    pub const COLOR_DONT_CARE: usize = 7;
    pub const BIT_MASK: usize = 8;
    /// Bits that exist.
    pub const WRITABLE: [u8; 9] = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];
    /// Mode: read mode 1.
    pub const COMPARE: u8 = 1 << 3;
    /// Mode: reads take the map's low bit from the address.
    pub const ODD_EVEN: u8 = 1 << 4;
    /// Mode: two bits a pixel, as on the CGA.
    pub const INTERLEAVED: u8 = 1 << 5;
    /// Mode: eight bits a pixel.
    pub const SHIFT_256: u8 = 1 << 6;
    /// Mode: what decides over the picture.
    pub const SHIFT: u8 = INTERLEAVED | SHIFT_256;
    /// Miscellaneous: graphics, not text.
    pub const GRAPHICS: u8 = 1;
    /// Miscellaneous: address bit 0 selects the map and is replaced.
    pub const CHAIN_ODD_EVEN: u8 = 1 << 1;
}

/// CRT controller.
pub(super) mod crtc {
    pub const HORIZONTAL_TOTAL: usize = 0x00;
    pub const HORIZONTAL_END: usize = 0x01;
    pub const VERTICAL_TOTAL: usize = 0x06;
    pub const OVERFLOW: usize = 0x07;
    pub const PRESET_ROW_SCAN: usize = 0x08;
    pub const MAXIMUM_SCAN: usize = 0x09;
    pub const CURSOR_START: usize = 0x0a;
    pub const CURSOR_END: usize = 0x0b;
    pub const START_HIGH: usize = 0x0c;
    pub const START_LOW: usize = 0x0d;
    pub const CURSOR_HIGH: usize = 0x0e;
    pub const CURSOR_LOW: usize = 0x0f;
    pub const RETRACE_START: usize = 0x10;
    pub const RETRACE_END: usize = 0x11;
    pub const VERTICAL_END: usize = 0x12;
    pub const OFFSET: usize = 0x13;
    pub const UNDERLINE: usize = 0x14;
    pub const MODE: usize = 0x17;
    pub const LINE_COMPARE: usize = 0x18;
    /// How many there are.
    pub const COUNT: usize = 0x19;
    /// Overflow: the bit that protection leaves open, line compare bit 8.
    pub const OVERFLOW_LINE_COMPARE: u8 = 1 << 4;
    /// Maximum scan line: each line is shown twice.
    pub const DOUBLE_SCAN: u8 = 1 << 7;
    /// Cursor start: off.
    pub const CURSOR_OFF: u8 = 1 << 5;
    /// Vertical retrace end: registers 0 to 7 are read-only.
    pub const PROTECT: u8 = 1 << 7;
    /// Underline location: count by four.
    pub const COUNT_BY_4: u8 = 1 << 5;
    /// Underline location: doubleword addresses.
    pub const DOUBLEWORD: u8 = 1 << 6;
    /// Mode control: clear: address bit 13 is bit 0 of the row scan counter.
    pub const NO_ROW_SCAN_13: u8 = 1;
    /// Mode control: clear: address bit 14 is bit 1 of it.
    pub const NO_ROW_SCAN_14: u8 = 1 << 1;
    /// Mode control: the vertical counter runs at half the speed.
    pub const HALF_VERTICAL: u8 = 1 << 2;
    /// Mode control: count by two.
    pub const COUNT_BY_2: u8 = 1 << 3;
    /// Mode control: in word mode bit 15 wraps to bit 0; clear: bit 13.
    pub const WRAP_15: u8 = 1 << 5;
    /// Mode control: byte addresses.
    pub const BYTE: u8 = 1 << 6;
    /// Mode control: clear: no sync, and so no picture.
    pub const SYNC: u8 = 1 << 7;
}

/// Attribute controller.
pub(super) mod attribute {
    pub const MODE: usize = 0x10;
    pub const PLANE_ENABLE: usize = 0x12;
    pub const PIXEL_PANNING: usize = 0x13;
    pub const COLOR_SELECT: usize = 0x14;
    /// How many there are.
    pub const COUNT: usize = 0x15;
    /// Bits that exist in registers 10h to 14h.
    pub const WRITABLE: [u8; 5] = [0xef, 0x3f, 0x3f, 0x0f, 0x0f];
    /// Bits of a palette register.
    pub const PALETTE: u8 = 0x3f;
    /// Index: the palette is the display's, not the CPU's. Clear: the screen shows the border colour.
    pub const DISPLAY: u8 = 1 << 5;
    /// Mode: monochrome attributes.
    pub const MONOCHROME: u8 = 1 << 1;
    /// Mode: the ninth dot of line graphics repeats the eighth.
    pub const LINE_GRAPHICS: u8 = 1 << 2;
    /// Mode: attribute bit 7 blinks.
    pub const BLINK: u8 = 1 << 3;
    /// Mode: panning ends at the line compare.
    pub const PANNING_ENDS: u8 = 1 << 5;
    /// Mode: two dots make one pixel of eight bits.
    pub const EIGHT_BITS: u8 = 1 << 6;
    /// Mode: colour bits 4 and 5 come from the colour select register.
    pub const SELECT_54: u8 = 1 << 7;
}

/// Bochs display interface (Bochs VBE Extensions, `vbe_display_api.txt`).
pub(super) mod dispi {
    /// Index port.
    pub const INDEX: u16 = 0x1ce;
    /// Data port; also at the next one, where it is aligned.
    pub const DATA: u16 = 0x1cf;
    pub const ALIGNED_DATA: u16 = 0x1d0;

    pub const ID: u16 = 0;
    pub const X_RESOLUTION: u16 = 1;
    pub const Y_RESOLUTION: u16 = 2;
    pub const BITS_PER_PIXEL: u16 = 3;
    pub const ENABLE: u16 = 4;
    pub const BANK: u16 = 5;
    pub const VIRTUAL_WIDTH: u16 = 6;
    pub const VIRTUAL_HEIGHT: u16 = 7;
    pub const X_OFFSET: u16 = 8;
    pub const Y_OFFSET: u16 = 9;
    pub const VIDEO_MEMORY_64K: u16 = 10;

    /// The oldest and the newest revision.
    pub const ID_FIRST: u16 = 0xb0c0;
    pub const ID_LAST: u16 = 0xb0c5;

    /// Enable register.
    pub const ENABLED: u16 = 1;
    /// Resolution and depth read as what is possible at most.
    pub const GET_CAPABILITIES: u16 = 1 << 1;
    pub const EIGHT_BIT_DAC: u16 = 1 << 5;
    /// Video memory keeps its contents.
    pub const NO_CLEAR: u16 = 1 << 7;
    /// Bits that are kept; bit 6 asks for the linear framebuffer, which is always there.
    pub const ENABLE_WRITABLE: u16 = 0x00e3;
}
