//! Character generators (INT 10h function 11h).

use super::super::bda;
use super::super::call::{Call, Served};
use super::Fonts;
use super::modes::{Layout, Mode};
use super::registers;
use super::screen::Screen;
use crate::rom;
use guest_mem::Gva;
use hvm::regs::SegmentName;

/// Where the plane of the fonts shows while it is loaded.
const WINDOW: u64 = 0xa_0000;
/// Bytes from character to character in that plane.
const CHARACTER_BYTES: u64 = 32;
/// Bytes from block to block: eight of them, at 0, 4000h, 8000h, C000h, 2000h, 6000h, A000h, E000h.
const BLOCKS: [u64; 8] = [0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000];

// Sequencer and graphics controller registers, with the values that show plane 2 flat.
const PLANE_2_WRITABLE: [(u8, u8); 2] = [(2, 4), (4, 7)];
const PLANE_2_READABLE: [(u8, u8); 3] = [(4, 2), (5, 0), (6, 4)];

/// Has plane 2 at A000:0000 during `work`.
fn with_font_plane(call: &mut Call<'_>, work: impl FnOnce(&mut Call<'_>) -> Served) -> Served {
    let sequencer = PLANE_2_WRITABLE.map(|(index, _)| (index, registers::sequencer(call, index)));
    let graphics = PLANE_2_READABLE.map(|(index, _)| (index, registers::graphics(call, index)));
    for (index, value) in PLANE_2_WRITABLE {
        registers::set_sequencer(call, index, value);
    }
    for (index, value) in PLANE_2_READABLE {
        registers::set_graphics(call, index, value);
    }
    let result = work(call);
    for (index, value) in sequencer {
        registers::set_sequencer(call, index, value);
    }
    for (index, value) in graphics {
        registers::set_graphics(call, index, value);
    }
    result
}

/// The most lines that a character has.
pub const MOST_LINES: usize = 32;

/// A character's lines in a graphics mode: from where vector 43h points, in CGA's modes for the upper half from where
/// vector 1Fh does. The ROM's own fonts are at hand.
pub fn glyph(
    call: &mut Call<'_>,
    fonts: &Fonts,
    screen: &Screen,
    code: u8,
) -> Served<[u8; MOST_LINES]> {
    const ALL: u64 = 4 * 0x43;
    const UPPER_HALF: u64 = 4 * 0x1f;
    let height = usize::from(screen.character_height);
    let cga = matches!(screen.mode.layout, Layout::Cga2 | Layout::Cga4);
    let (vector, index) = if cga && code >= 128 {
        (UPPER_HALF, code - 128)
    } else {
        (ALL, code)
    };
    let mut glyph = [0; MOST_LINES];
    let [offset, segment]: [u16; 2] = call.load(Gva(vector))?;
    if segment == rom::video::SEGMENT {
        let known = fonts.glyph(screen.character_height, code);
        for (place, line) in glyph.iter_mut().zip(known).take(height) {
            *place = *line;
        }
        return Ok(glyph);
    }
    let start = u64::from(segment) * 16 + u64::from(offset);
    let at = call.wrap(Gva(start + u64::from(index) * height as u64));
    call.read(at, &mut glyph[..height.min(MOST_LINES)])?;
    Ok(glyph)
}

fn store_glyph(call: &mut Call<'_>, block: u8, code: u8, glyph: &[u8]) -> Served {
    let block = BLOCKS[usize::from(block & 7)];
    let at = Gva(WINDOW + block + u64::from(code) * CHARACTER_BYTES);
    call.write(at, glyph)
}

/// Loads one of the ROM's fonts.
pub fn load_rom_font(call: &mut Call<'_>, fonts: &Fonts, block: u8, height: u8) -> Served {
    with_font_plane(call, |call| {
        for code in 0..=255 {
            store_glyph(call, block, code, fonts.glyph(height, code))?;
        }
        Ok(())
    })
}

/// Loads the font that a text mode starts with.
pub fn load_default(call: &mut Call<'_>, fonts: &Fonts, mode: &Mode) -> Served {
    load_rom_font(call, fonts, 0, mode.character_height)
}

/// Loads CX characters of BH bytes from ES:BP as characters DX and on.
fn load_user_font(call: &mut Call<'_>) -> Served {
    let (block, height) = (call.bl(), call.bh().min(32));
    let mut glyphs = [0; 256 * 32];
    let count = usize::from(call.cx().min(256));
    let glyphs = &mut glyphs[..count * usize::from(height)];
    call.read(call.linear(SegmentName::Es, call.bp().into()), glyphs)?;
    let first = call.dx() as u8;
    with_font_plane(call, |call| {
        for (index, glyph) in (0_u8..=255).zip(glyphs.chunks_exact(usize::from(height.max(1)))) {
            store_glyph(call, block, first.wrapping_add(index), glyph)?;
        }
        Ok(())
    })
}

/// Adjusts rows, cursor and CRT controller to characters of that height, in a text mode.
fn fit_screen(call: &mut Call<'_>, height: u8) -> Served {
    const MAXIMUM_SCAN_LINE: u8 = 9;
    const OVERFLOW: u8 = 7;
    const DISPLAY_END: u8 = 0x12;
    let height = height.clamp(1, 32);
    let scan = registers::crtc(call, MAXIMUM_SCAN_LINE);
    registers::set_crtc(call, MAXIMUM_SCAN_LINE, scan & 0xe0 | (height - 1));
    let overflow = registers::crtc(call, OVERFLOW);
    let high = u16::from(overflow >> 1 & 1) << 8 | u16::from(overflow >> 6 & 1) << 9;
    let mut lines = (high | u16::from(registers::crtc(call, DISPLAY_END))) + 1;
    if scan & 0x80 != 0 {
        lines /= 2;
    }
    let rows = (lines / u16::from(height)).clamp(1, 255) as u8;
    call.store(bda::CHARACTER_HEIGHT, &u16::from(height))?;
    call.store(bda::LAST_ROW, &(rows - 1))?;
    let columns: u16 = call.load(bda::COLUMNS)?;
    let bytes = u16::from(rows).wrapping_mul(columns).wrapping_mul(2);
    call.store(bda::PAGE_BYTES, &bytes.next_multiple_of(256))?;
    let (first, last) = if height >= 14 {
        (height - 3, height - 2)
    } else {
        (height.saturating_sub(2), height - 1)
    };
    call.store(bda::CURSOR_SHAPE, &[last, first])?;
    registers::set_crtc(call, registers::CURSOR_START, first);
    registers::set_crtc(call, registers::CURSOR_START + 1, last);
    Ok(())
}

/// Rows of a graphics mode: BL selects 14, 25 or 43, or DL has them.
fn graphics_rows(call: &mut Call<'_>, height: u8) -> Served {
    let rows = match call.bl() {
        0 => call.dl(),
        1 => 14,
        3 => 43,
        _ => 25,
    };
    call.store(bda::CHARACTER_HEIGHT, &u16::from(height))?;
    call.store(bda::LAST_ROW, &rows.saturating_sub(1))
}

/// Function 11h.
pub fn serve(call: &mut Call<'_>, fonts: &Fonts) -> Served {
    let height = match call.al() & 0x0f {
        1 => 14,
        2 => 8,
        4 => 16,
        _ => call.bh(),
    };
    match call.al() {
        0x00 => load_user_font(call),
        0x01 | 0x02 | 0x04 => load_rom_font(call, fonts, call.bl(), height),
        0x03 => {
            const CHARACTER_MAP: u8 = 3;
            registers::set_sequencer(call, CHARACTER_MAP, call.bl());
            Ok(())
        }
        0x10 => {
            load_user_font(call)?;
            fit_screen(call, height)
        }
        0x11 | 0x12 | 0x14 => {
            load_rom_font(call, fonts, call.bl(), height)?;
            fit_screen(call, height)
        }
        0x20 => {
            let pointer = [call.bp(), call.selector(SegmentName::Es)];
            call.store(Gva(4 * 0x1f), &pointer)
        }
        0x21 => {
            let pointer = [call.bp(), call.selector(SegmentName::Es)];
            call.store(Gva(4 * 0x43), &pointer)?;
            graphics_rows(call, call.cx() as u8)
        }
        0x22 => set_rom_graphics_font(call, 14),
        0x23 => set_rom_graphics_font(call, 8),
        0x24 => set_rom_graphics_font(call, 16),
        0x30 => tell(call),
        _ => Ok(()),
    }
}

fn set_rom_graphics_font(call: &mut Call<'_>, height: u8) -> Served {
    let pointer = [rom::video::font_offset(height), rom::video::SEGMENT];
    call.store(Gva(4 * 0x43), &pointer)?;
    graphics_rows(call, height)
}

/// Function 1130h: the font that BH names in ES:BP; CX the lines of a character, DL the rows less one.
fn tell(call: &mut Call<'_>) -> Served {
    let [offset, segment] = match call.bh() {
        0 => call.load(Gva(4 * 0x1f))?,
        1 => call.load(Gva(4 * 0x43))?,
        2 | 5 => [rom::video::font_offset(14), rom::video::SEGMENT],
        3 => [rom::video::font_offset(8), rom::video::SEGMENT],
        4 => [rom::video::font_offset(8) + 128 * 8, rom::video::SEGMENT],
        _ => [rom::video::font_offset(16), rom::video::SEGMENT],
    };
    let screen = Screen::current(call)?;
    let height: u16 = call.load(bda::CHARACTER_HEIGHT)?;
    call.set_cx(height);
    call.set_dl(screen.rows.wrapping_sub(1));
    call.set_bp(offset);
    call.set_segment(SegmentName::Es, segment);
    Ok(())
}
