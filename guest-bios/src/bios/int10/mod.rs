//! INT 10h: video (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h"; IBM VGA functions 10h to 1Ch).
//!
//! Everything goes through the VGA's ports and memory, as a ROM's code would do it, so the screen is the chip's alone.

mod dac;
mod draw;
mod font;
pub(crate) mod modes;
mod palette;
mod registers;
mod screen;
mod state;
mod text;
mod vbe;

use super::bda;
use super::call::{Call, Served};
use crate::rom;
use crate::rom::font::Fonts;
use guest_mem::Gva;
use modes::{Layout, Mode};
use registers::Picture;
use screen::{Position, Screen};
use text::Scroll;

pub(super) use text::print;
pub(crate) use vbe::modes::MODES as VBE_MODES;
pub(super) use vbe::{display_start_32, palette_32};

/// The window function of VBE, called far: BX and DX as function 4F05h has them.
pub(super) fn window(call: &mut Call<'_>) {
    let answer = vbe::window(call);
    call.set_al(0x4f);
    call.set_ah(answer.err().unwrap_or(0));
}

/// Serves a call.
pub(super) fn serve(call: &mut Call<'_>, fonts: &Fonts) -> Served {
    match call.ah() {
        0x00 => set_mode(call, fonts, call.al()),
        0x01 => set_cursor_shape(call),
        0x02 => {
            let at = Position {
                row: call.dh(),
                column: call.dl(),
            };
            screen::set_cursor(call, call.bh(), at)
        }
        0x03 => tell_cursor(call),
        0x04 => {
            // There is no light pen.
            call.set_ah(0);
            Ok(())
        }
        0x05 => show_page(call, call.al()),
        0x06 => text::scroll_window(call, Scroll::Up),
        0x07 => text::scroll_window(call, Scroll::Down),
        0x08 => text::read_cell(call, fonts),
        0x09 => text::write_cells(call, fonts, Some(call.bl())),
        0x0a => text::write_cells(call, fonts, None),
        0x0b => palette::set_background(call),
        0x0c => draw::write_pixel(call),
        0x0d => draw::read_pixel(call),
        0x0e => text::teletype(call, fonts),
        0x0f => tell_mode(call),
        0x10 => palette::serve(call),
        0x11 => font::serve(call, fonts),
        0x12 => alternate_select(call),
        0x13 => text::write_string(call, fonts),
        0x1b => state::tell(call),
        0x1c => state::serve(call),
        0x1a => display_combination(call),
        0x4f => vbe::serve(call, fonts),
        _ => Ok(()),
    }
}

/// Function 00h. Bit 7 of the number keeps the memory's contents. Unknown modes change nothing.
pub(super) fn set_mode(call: &mut Call<'_>, fonts: &Fonts, number: u8) -> Served {
    const KEEP: u8 = 0x80;
    let Some(mode) = modes::find(number) else {
        return Ok(());
    };
    vbe::dispi::turn_off(call);
    registers::load(call, mode);
    registers::load_colours(call, mode);
    if number & KEEP == 0 {
        clear(call, mode)?;
    }
    if mode.layout == Layout::Text {
        font::load_default(call, fonts, mode)?;
    }
    store_mode(call, mode, number)?;
    set_shape(call, mode)?;
    for page in 0..screen::PAGES {
        screen::set_cursor(call, page, Position { row: 0, column: 0 })?;
    }
    show_page(call, 0)?;
    // What the mode number says in AL, as VGA BIOSes leave it: modes with 30h, 3Fh and 20h.
    call.set_al(match mode.number {
        6 => 0x3f,
        0..=7 => 0x30,
        _ => 0x20,
    });
    Ok(())
}

fn clear(call: &mut Call<'_>, mode: &Mode) -> Served {
    const CHUNK: usize = 0x800;
    let (pattern, bytes) = match mode.layout {
        Layout::Text => ([b' ', 7], 0x8000),
        Layout::Cga2 | Layout::Cga4 => ([0; 2], 0x8000),
        Layout::Planar | Layout::Packed => ([0; 2], 0x1_0000),
    };
    let mut chunk = [0; CHUNK];
    for cell in chunk.chunks_exact_mut(2) {
        cell.copy_from_slice(&pattern);
    }
    let start = Gva(u64::from(mode.segment) * 16);
    for offset in (0..bytes).step_by(CHUNK) {
        call.write(start.wrapping_add(offset), &chunk)?;
    }
    Ok(())
}

fn store_mode(call: &mut Call<'_>, mode: &Mode, number: u8) -> Served {
    const VGA_ACTIVE_400_LINES: u8 = 0x11;
    const COLOUR_256K: u8 = 0x60;
    let colour = mode.miscellaneous & 1 != 0;
    call.store(bda::VIDEO_MODE, &mode.number)?;
    call.store(bda::COLUMNS, &u16::from(mode.columns))?;
    call.store(bda::PAGE_BYTES, &mode.page_bytes)?;
    call.store(bda::PAGE_START, &0_u16)?;
    call.store(bda::ACTIVE_PAGE, &0_u8)?;
    call.store(bda::CRTC_PORT, &if colour { 0x3d4_u16 } else { 0x3b4 })?;
    call.store(bda::CGA_MODE, &cga_mode(mode.number))?;
    call.store(
        bda::CGA_PALETTE,
        &if mode.number == 6 { 0x3f_u8 } else { 0x30 },
    )?;
    call.store(bda::LAST_ROW, &(mode.rows - 1))?;
    call.store(bda::CHARACTER_HEIGHT, &u16::from(mode.character_height))?;
    call.store(bda::VIDEO_CONTROL, &(COLOUR_256K | number & 0x80))?;
    call.store(bda::VIDEO_SWITCHES, &0xf9_u8)?;
    let flags: u8 = call.load(bda::VGA_FLAGS)?;
    call.store(bda::VGA_FLAGS, &(flags & 0x6f | VGA_ACTIVE_400_LINES))?;
    call.store(bda::DISPLAY_COMBINATION, &8_u8)?;
    if mode.layout != Layout::Text {
        let font = [
            rom::video::font_offset(mode.character_height),
            rom::video::SEGMENT,
        ];
        call.store(Gva(4 * 0x43), &font)?;
    }
    Ok(())
}

/// What a CGA's mode control register would hold.
fn cga_mode(number: u8) -> u8 {
    match number {
        0 => 0x2c,
        1 => 0x28,
        2 => 0x2d,
        4 => 0x2a,
        5 => 0x2e,
        6 => 0x1e,
        _ => 0x29,
    }
}

/// The cursor of a new text mode: the two lines above the last.
fn set_shape(call: &mut Call<'_>, mode: &Mode) -> Served {
    let [first, last] = [mode.crtc[0x0a], mode.crtc[0x0b]];
    if mode.layout == Layout::Text {
        // Programs know the cursor in cells of eight lines.
        call.store(bda::CURSOR_SHAPE, &[7_u8, 6])?;
        registers::set_crtc(call, registers::CURSOR_START, first);
        registers::set_crtc(call, registers::CURSOR_START + 1, last);
        return Ok(());
    }
    call.store(bda::CURSOR_SHAPE, &[0_u8, 0])
}

/// Function 01h: first line CH, last line CL, in cells of eight lines unless emulation is off.
fn set_cursor_shape(call: &mut Call<'_>) -> Served {
    const EMULATION_OFF: u8 = 1;
    const HIDDEN: u8 = 0x20;
    let (first, last) = (call.ch(), call.cl());
    call.store(bda::CURSOR_SHAPE, &[last, first])?;
    let control: u8 = call.load(bda::VIDEO_CONTROL)?;
    let screen = Screen::current(call)?;
    let height = screen.character_height;
    let (mut start, mut end) = (first & 0x3f, last & 0x1f);
    if control & EMULATION_OFF == 0 && height > 8 && first & HIDDEN == 0 && start < 8 && end < 8 {
        let scale = |line: u8| ((u16::from(line) + 1) * u16::from(height) / 8 - 1) as u8;
        if end != start + 1 {
            start = scale(start).saturating_sub(height / 8 - 1);
        } else {
            start = scale(end).saturating_sub(2);
        }
        end = scale(end).saturating_sub(u8::from(end == 7));
    }
    registers::set_crtc(call, registers::CURSOR_START, start);
    registers::set_crtc(call, registers::CURSOR_START + 1, end);
    Ok(())
}

/// Function 03h: cursor of page BH in DH and DL, its shape in CX.
fn tell_cursor(call: &mut Call<'_>) -> Served {
    let at = screen::cursor(call, call.bh())?;
    let shape: u16 = call.load(bda::CURSOR_SHAPE)?;
    call.set_dh(at.row);
    call.set_dl(at.column);
    call.set_cx(shape);
    Ok(())
}

/// Function 05h.
fn show_page(call: &mut Call<'_>, page: u8) -> Served {
    if page >= screen::PAGES {
        return Ok(());
    }
    let screen = Screen::current(call)?;
    let start = screen.page_bytes.wrapping_mul(page.into());
    call.store(bda::PAGE_START, &start)?;
    call.store(bda::ACTIVE_PAGE, &page)?;
    let address = if screen.is_text() { start / 2 } else { start };
    registers::set_crtc_word(call, registers::START_HIGH, address);
    let at = screen::cursor(call, page)?;
    screen.show_cursor(call, page, at);
    Ok(())
}

/// Function 0Fh: mode in AL, columns in AH, page in BH.
fn tell_mode(call: &mut Call<'_>) -> Served {
    let mode: u8 = call.load(bda::VIDEO_MODE)?;
    let control: u8 = call.load(bda::VIDEO_CONTROL)?;
    let columns: u16 = call.load(bda::COLUMNS)?;
    let page = call.load(bda::ACTIVE_PAGE)?;
    call.set_al(mode & 0x7f | control & 0x80);
    call.set_ah(columns as u8);
    call.set_bh(page);
    Ok(())
}

/// Function 12h: what BL names. 12h in AL says that the function is there.
fn alternate_select(call: &mut Call<'_>) -> Served {
    const SUPPORTED: u8 = 0x12;
    const MEMORY_256_KIB: u8 = 3;
    match call.bl() {
        0x10 => {
            let port: u16 = call.load(bda::CRTC_PORT)?;
            call.set_bh(u8::from(port == 0x3b4));
            call.set_bl(MEMORY_256_KIB);
            let switches: u8 = call.load(bda::VIDEO_SWITCHES)?;
            call.set_ch(switches >> 4);
            call.set_cl(switches & 15);
        }
        // Scan lines of text modes, default palette, gray scales, cursor emulation, screen off.
        0x30 | 0x31 | 0x33 => call.set_al(SUPPORTED),
        0x34 => {
            let control: u8 = call.load(bda::VIDEO_CONTROL)?;
            call.store(bda::VIDEO_CONTROL, &(control & !1 | call.al() & 1))?;
            call.set_al(SUPPORTED);
        }
        0x36 => {
            let dark = call.al() & 1 != 0;
            registers::set_picture(call, if dark { Picture::Dark } else { Picture::Shown });
            call.set_al(SUPPORTED);
        }
        _ => {}
    }
    Ok(())
}

/// Function 1Ah: a VGA with a colour display, and no second one.
fn display_combination(call: &mut Call<'_>) -> Served {
    const VGA_COLOUR: u8 = 8;
    match call.al() {
        0 => {
            let active: u8 = call.load(bda::DISPLAY_COMBINATION)?;
            call.set_bl(if active == 0 { VGA_COLOUR } else { active });
            call.set_bh(0);
        }
        1 => call.store(bda::DISPLAY_COMBINATION, &call.bl())?,
        _ => return Ok(()),
    }
    call.set_al(0x1a);
    Ok(())
}
