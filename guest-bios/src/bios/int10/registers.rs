//! The VGA's registers (IBM PS/2 Hardware Interface Technical Reference, "Video subsystem").

use super::super::call::Call;
use super::dac;
use super::modes::Mode;
use hvm::Width;

const ATTRIBUTE: u16 = 0x3c0;
const MISCELLANEOUS_WRITE: u16 = 0x3c2;
const SEQUENCER: u16 = 0x3c4;
const DAC_MASK: u16 = 0x3c6;
const DAC_READ_INDEX: u16 = 0x3c7;
const DAC_WRITE_INDEX: u16 = 0x3c8;
const DAC_DATA: u16 = 0x3c9;
const MISCELLANEOUS_READ: u16 = 0x3cc;
const GRAPHICS: u16 = 0x3ce;
const COLOUR_CRTC: u16 = 0x3d4;
const MONO_CRTC: u16 = 0x3b4;
/// From a CRT controller's index register to its input status register 1.
const STATUS_1: u16 = 6;

/// Bit 5 of the attribute controller's index gives the palette back to the screen.
const SHOW: u8 = 0x20;
/// Bit 7 of the vertical retrace end register protects registers 0 to 7.
const RETRACE_END: u8 = 0x11;

pub const START_HIGH: u8 = 0x0c;
pub const CURSOR_START: u8 = 0x0a;
pub const CURSOR_HIGH: u8 = 0x0e;

/// The index port of the CRT controller that answers now.
pub fn crtc_port(call: &mut Call<'_>) -> u16 {
    if call.inb(MISCELLANEOUS_READ) & 1 != 0 {
        COLOUR_CRTC
    } else {
        MONO_CRTC
    }
}

pub fn set_crtc(call: &mut Call<'_>, index: u8, value: u8) {
    let port = crtc_port(call);
    indexed(call, port, index, value);
}

/// Sets two registers, the first being the high byte.
pub fn set_crtc_word(call: &mut Call<'_>, index: u8, value: u16) {
    let [high, low] = value.to_be_bytes();
    let port = crtc_port(call);
    indexed(call, port, index, high);
    indexed(call, port, index + 1, low);
}

pub fn crtc(call: &mut Call<'_>, index: u8) -> u8 {
    let port = crtc_port(call);
    call.outb(port, index);
    call.inb(port + 1)
}

pub fn set_sequencer(call: &mut Call<'_>, index: u8, value: u8) {
    indexed(call, SEQUENCER, index, value);
}

pub fn sequencer(call: &mut Call<'_>, index: u8) -> u8 {
    call.outb(SEQUENCER, index);
    call.inb(SEQUENCER + 1)
}

pub fn set_graphics(call: &mut Call<'_>, index: u8, value: u8) {
    indexed(call, GRAPHICS, index, value);
}

pub fn graphics(call: &mut Call<'_>, index: u8) -> u8 {
    call.outb(GRAPHICS, index);
    call.inb(GRAPHICS + 1)
}

const CLOCKING: u8 = 1;
/// Bit 5 of the clocking mode register: the CPU has the memory's whole bandwidth, and the screen is dark.
const SCREEN_OFF: u8 = 0x20;

/// The screen's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    Shown,
    Dark,
}

pub fn set_picture(call: &mut Call<'_>, picture: Picture) {
    let clocking = sequencer(call, CLOCKING) & !SCREEN_OFF;
    let off = match picture {
        Picture::Shown => 0,
        Picture::Dark => SCREEN_OFF,
    };
    set_sequencer(call, CLOCKING, clocking | off);
}

pub fn picture(call: &mut Call<'_>) -> Picture {
    if sequencer(call, CLOCKING) & SCREEN_OFF == 0 {
        Picture::Shown
    } else {
        Picture::Dark
    }
}

pub fn miscellaneous(call: &mut Call<'_>) -> u8 {
    call.inb(MISCELLANEOUS_READ)
}

pub fn set_miscellaneous(call: &mut Call<'_>, value: u8) {
    call.outb(MISCELLANEOUS_WRITE, value);
}

/// Lets CRT controller registers 0 to 7 be written.
pub fn open_crtc(call: &mut Call<'_>) {
    set_crtc(call, RETRACE_END, 0);
}

/// Index and value in one word, as the data port is the next one.
fn indexed(call: &mut Call<'_>, port: u16, index: u8, value: u8) {
    let word = u16::from_le_bytes([index, value]);
    call.machine.port_out(port, Width::Word, word.into());
}

/// Has the attribute controller take an index next.
fn attribute_index_next(call: &mut Call<'_>) {
    let status = crtc_port(call) + STATUS_1;
    call.inb(status);
}

pub fn set_attribute(call: &mut Call<'_>, index: u8, value: u8) {
    attribute_index_next(call);
    call.outb(ATTRIBUTE, index & 0x1f);
    call.outb(ATTRIBUTE, value);
    call.outb(ATTRIBUTE, SHOW);
}

pub fn attribute(call: &mut Call<'_>, index: u8) -> u8 {
    attribute_index_next(call);
    call.outb(ATTRIBUTE, index & 0x1f);
    let value = call.inb(ATTRIBUTE + 1);
    attribute_index_next(call);
    call.outb(ATTRIBUTE, SHOW);
    value
}

pub fn set_colour(call: &mut Call<'_>, index: u8, colour: dac::Colour) {
    call.outb(DAC_WRITE_INDEX, index);
    for part in colour {
        call.outb(DAC_DATA, part);
    }
}

pub fn colour(call: &mut Call<'_>, index: u8) -> dac::Colour {
    call.outb(DAC_READ_INDEX, index);
    [(); 3].map(|()| call.inb(DAC_DATA))
}

pub fn dac_mask(call: &mut Call<'_>) -> u8 {
    call.inb(DAC_MASK)
}

pub fn set_dac_mask(call: &mut Call<'_>, mask: u8) {
    call.outb(DAC_MASK, mask);
}

/// Puts all registers to a mode's values.
pub fn load(call: &mut Call<'_>, mode: &Mode) {
    const RESET: u8 = 1;
    const RUN: u8 = 3;
    set_sequencer(call, 0, RESET);
    call.outb(MISCELLANEOUS_WRITE, mode.miscellaneous);
    for (index, value) in (1..).zip(mode.sequencer) {
        set_sequencer(call, index, value);
    }
    set_sequencer(call, 0, RUN);
    let crtc = crtc_port(call);
    indexed(call, crtc, RETRACE_END, 0);
    for (index, value) in (0..).zip(mode.crtc) {
        indexed(call, crtc, index, value);
    }
    for (index, value) in (0..).zip(mode.graphics) {
        set_graphics(call, index, value);
    }
    for (index, value) in (0..).zip(mode.attribute) {
        set_attribute(call, index, value);
    }
    set_attribute(call, 0x14, 0);
}

/// Loads the DAC with a mode's default colours.
pub fn load_colours(call: &mut Call<'_>, mode: &Mode) {
    set_dac_mask(call, 0xff);
    call.outb(DAC_WRITE_INDEX, 0);
    for index in 0..=255 {
        for part in dac::colour(mode.dac, index) {
            call.outb(DAC_DATA, part);
        }
    }
}
