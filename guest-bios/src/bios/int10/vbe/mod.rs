//! VBE (VESA BIOS Extension core functions 3.0): INT 10h functions 4F00h to 4F0Ah, 4F10h and 4F15h, over the Bochs display
//! interface.

pub mod dispi;
mod info;
mod interface;
pub mod modes;
mod power;
mod surface;

use super::super::bda;
use super::super::call::{Call, Served};
use super::{Fonts, set_mode};
use super::{registers, state};
use crate::rom;
use dispi::Register;
use guest_mem::Gva;
use hvm::regs::SegmentName;
pub(in super::super) use interface::{display_start_32, palette_32};
use modes::Mode;
pub use surface::Surface;

/// AH of the answer; AL is 4Fh if the function is there.
pub type Answer = Result<(), u8>;
pub const FAILED: u8 = 1;
const NOT_IN_THIS_MODE: u8 = 3;

/// Serves a call.
pub fn serve(call: &mut Call<'_>, fonts: &Fonts) -> Served {
    const SUPPORTED: u8 = 0x4f;
    if !dispi::is_present(call) {
        return Ok(());
    }
    let answer = match call.al() {
        0x00 => info::controller(call)?,
        0x01 => info::mode(call)?,
        0x02 => start_mode(call, fonts)?,
        0x03 => tell_mode(call)?,
        0x04 => state::extended(call)?,
        0x05 => window(call),
        0x06 => line_length(call),
        0x07 => display_start(call),
        0x08 => dac_width(call),
        0x09 => palette(call)?,
        0x0a => interface::tell(call),
        0x10 => power::serve(call),
        0x15 => info::edid(call)?,
        // Sound, flat panels and the supplements that nobody has.
        _ => {
            call.set_ah(FAILED);
            return Ok(());
        }
    };
    call.set_al(SUPPORTED);
    call.set_ah(answer.err().unwrap_or(0));
    Ok(())
}

/// Function 4F02h: mode BX; bit 14 asks for the linear framebuffer, bit 15 keeps the memory.
fn start_mode(call: &mut Call<'_>, fonts: &Fonts) -> Served<Answer> {
    const NUMBER: u16 = 0x1ff;
    const LINEAR: u16 = 0x4000;
    const KEEP: u16 = 0x8000;
    const CRTC_VALUES: u16 = 0x0800;
    const FIRST: u16 = 0x100;
    let asked = call.bx();
    let number = asked & NUMBER;
    let keep = asked & KEEP != 0;
    if number < FIRST {
        let al = call.al();
        set_mode(call, fonts, number as u8 & 0x7f | u8::from(keep) << 7)?;
        call.set_al(al);
        return Ok(Ok(()));
    }
    let memory = u32::from(dispi::read(call, Register::Memory)) << 16;
    let mode = Mode::find(number).filter(|mode| mode.bytes() <= memory);
    let Some(mode) = mode.filter(|_| asked & CRTC_VALUES == 0) else {
        return Ok(Err(FAILED));
    };
    // A VGA graphics mode underneath, so that nothing of text is left: no cursor, no blinking.
    let al = call.al();
    set_mode(call, fonts, if mode.depth == 8 { 0x93 } else { 0x92 })?;
    call.set_al(al);
    dispi::write(call, Register::Enable, 0);
    dispi::write(call, Register::Width, mode.width);
    dispi::write(call, Register::Height, mode.height);
    dispi::write(call, Register::Depth, mode.depth.into());
    let mut enable = dispi::ENABLED;
    if asked & LINEAR != 0 {
        enable |= dispi::LINEAR;
    }
    if keep {
        enable |= dispi::KEEP_MEMORY;
    }
    dispi::write(call, Register::Enable, enable);
    dispi::write(call, Register::Bank, 0);
    store_text_size(call, mode)?;
    Ok(Ok(()))
}

/// What text there is room for, in characters of 8 by 16.
fn store_text_size(call: &mut Call<'_>, mode: &Mode) -> Served {
    const HEIGHT: u16 = 16;
    call.store(bda::COLUMNS, &(mode.width / 8))?;
    call.store(bda::LAST_ROW, &((mode.height / HEIGHT - 1) as u8))?;
    call.store(bda::CHARACTER_HEIGHT, &HEIGHT)?;
    let font = [rom::video::font_offset(HEIGHT as u8), rom::video::SEGMENT];
    call.store(Gva(4 * 0x43), &font)
}

/// The mode that the display interface shows.
fn current(call: &mut Call<'_>) -> Option<&'static Mode> {
    if !dispi::is_on(call) {
        return None;
    }
    let width = dispi::read(call, Register::Width);
    let height = dispi::read(call, Register::Height);
    let depth = dispi::read(call, Register::Depth);
    modes::MODES
        .iter()
        .find(|mode| (mode.width, mode.height, u16::from(mode.depth)) == (width, height, depth))
}

/// Function 4F03h: into BX.
fn tell_mode(call: &mut Call<'_>) -> Served<Answer> {
    const LINEAR: u16 = 0x4000;
    let number = match current(call) {
        Some(mode) => {
            let linear = dispi::read(call, Register::Enable) & dispi::LINEAR != 0;
            mode.number | if linear { LINEAR } else { 0 }
        }
        None => {
            let number: u8 = call.load(bda::VIDEO_MODE)?;
            number.into()
        }
    };
    call.set_bx(number);
    Ok(Ok(()))
}

/// Function 4F05h: BH = 0 sets window BL to DX, BH = 1 tells.
pub fn window(call: &mut Call<'_>) -> Answer {
    if !dispi::is_on(call) || dispi::read(call, Register::Enable) & dispi::LINEAR != 0 {
        return Err(NOT_IN_THIS_MODE);
    }
    match (call.bh(), call.bl()) {
        (0, 0) if call.dx() < dispi::read(call, Register::Memory) => {
            dispi::write(call, Register::Bank, call.dx());
        }
        (1, 0) => {
            let bank = dispi::read(call, Register::Bank);
            call.set_dx(bank);
        }
        _ => return Err(FAILED),
    }
    Ok(())
}

/// Function 4F06h: the length of a line, in pixels (BL = 0), told (1), in bytes (2) or the greatest (3).
fn line_length(call: &mut Call<'_>) -> Answer {
    let Some(mode) = current(call) else {
        return Err(NOT_IN_THIS_MODE);
    };
    let memory = u32::from(dispi::read(call, Register::Memory)) << 16;
    let bytes = mode.pixel_bytes();
    let asked = match call.bl() {
        0 => Some(call.cx()),
        1 => None,
        2 => Some(call.cx().div_ceil(bytes)),
        3 => {
            let most = memory / (u32::from(mode.height) * u32::from(bytes));
            let most = most.min(u32::from(u16::MAX / bytes)) as u16;
            call.set_bx(most * bytes);
            call.set_cx(most);
            call.set_dx(mode.height);
            return Ok(());
        }
        _ => return Err(FAILED),
    };
    if let Some(width) = asked {
        let line = u32::from(width) * u32::from(bytes);
        if width < mode.width || line * u32::from(mode.height) > memory {
            const TOO_LONG: u8 = 2;
            return Err(TOO_LONG);
        }
        dispi::write(call, Register::VirtualWidth, width);
    }
    let width = dispi::read(call, Register::VirtualWidth).max(1);
    let line = u32::from(width) * u32::from(bytes);
    call.set_bx(line as u16);
    call.set_cx(width);
    call.set_dx((memory / line).min(u16::MAX.into()) as u16);
    Ok(())
}

/// Function 4F07h: the first pixel shown: column CX, line DX.
fn display_start(call: &mut Call<'_>) -> Answer {
    const AT_RETRACE: u8 = 0x80;
    if !dispi::is_on(call) {
        return Err(NOT_IN_THIS_MODE);
    }
    match call.bl() & !AT_RETRACE {
        0 => {
            dispi::write(call, Register::XOffset, call.cx());
            dispi::write(call, Register::YOffset, call.dx());
        }
        1 => {
            let x = dispi::read(call, Register::XOffset);
            let y = dispi::read(call, Register::YOffset);
            call.set_bh(0);
            call.set_cx(x);
            call.set_dx(y);
        }
        _ => return Err(FAILED),
    }
    Ok(())
}

/// Function 4F08h: bits of a colour in the DAC: BL = 0 sets BH, BL = 1 tells in BH.
fn dac_width(call: &mut Call<'_>) -> Answer {
    let Some(mode) = current(call) else {
        return Err(NOT_IN_THIS_MODE);
    };
    if mode.depth != 8 {
        return Err(NOT_IN_THIS_MODE);
    }
    let enable = dispi::read(call, Register::Enable);
    let wide = match call.bl() {
        0 => call.bh() >= 8,
        1 => enable & dispi::DAC_8_BITS != 0,
        _ => return Err(FAILED),
    };
    if call.bl() == 0 {
        let bit = if wide { dispi::DAC_8_BITS } else { 0 };
        let value = enable & !dispi::DAC_8_BITS | bit | dispi::KEEP_MEMORY;
        dispi::write(call, Register::Enable, value);
    }
    call.set_bh(if wide { 8 } else { 6 });
    Ok(())
}

/// Function 4F09h: CX colours from DX on, at ES:DI.
fn palette(call: &mut Call<'_>) -> Served<Answer> {
    palette_at(call, call.di().into())
}

/// Colours at an offset of ES, as blue, green, red and a byte more: BL = 0 (or 80h) sets, 1 tells.
fn palette_at(call: &mut Call<'_>, offset: u32) -> Served<Answer> {
    const AT_RETRACE: u8 = 0x80;
    let first = call.dx();
    let count = call.cx();
    if first > 255 || count > 256 - first {
        return Ok(Err(FAILED));
    }
    let start = call.linear(SegmentName::Es, offset);
    for entry in 0..count {
        let index = (first + entry) as u8;
        let at = call.wrap(start.wrapping_add(4 * u64::from(entry)));
        match call.bl() & !AT_RETRACE {
            0 => {
                let [blue, green, red, _]: [u8; 4] = call.load(at)?;
                registers::set_colour(call, index, [red, green, blue]);
            }
            1 => {
                let [red, green, blue] = registers::colour(call, index);
                call.store(at, &[blue, green, red, 0])?;
            }
            _ => return Ok(Err(FAILED)),
        }
    }
    Ok(Ok(()))
}
