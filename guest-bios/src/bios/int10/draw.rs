//! Pixels, and text made of them, in the graphics modes (INT 10h functions 08h to 0Eh).

use super::super::call::{Call, Served};
use super::font;
use super::modes::Layout;
use super::registers;
use super::screen::{Cell, Position, Screen};
use super::text::Scroll;
use super::{Fonts, bda};
use guest_mem::Gva;

/// Cells to scroll.
#[derive(Clone, Copy)]
pub struct Area {
    pub top: Position,
    pub height: u8,
    pub width: u8,
}

/// Bit 7 of a colour: exclusive-or with what is there (not in modes with 256 colours).
const XOR: u8 = 0x80;

// Graphics controller registers.
const MODE: u8 = 5;
const BIT_MASK: u8 = 8;
const FUNCTION: u8 = 3;
const READ_PLANE: u8 = 4;
// Sequencer registers.
const PLANES: u8 = 2;

const WRITE_PLANES: u8 = 2;
const WRITE_LATCHES: u8 = 1;
const FUNCTION_XOR: u8 = 0x18;

/// Bytes in a line of pixels.
fn stride(screen: &Screen) -> u64 {
    let columns = u64::from(screen.columns);
    match screen.mode.layout {
        Layout::Packed => columns * 8,
        Layout::Cga4 => columns * 2,
        _ => columns,
    }
}

/// The address of the byte that holds a line's byte `byte`.
fn byte_at(screen: &Screen, page: u8, line: u64, byte: u64) -> Gva {
    let stride = stride(screen);
    let offset = match screen.mode.layout {
        Layout::Cga4 | Layout::Cga2 => (line % 2) * 0x2000 + line / 2 * stride,
        Layout::Planar => line * stride + u64::from(screen.page_bytes.wrapping_mul(page.into())),
        Layout::Packed | Layout::Text => line * stride,
    };
    Gva(u64::from(screen.mode.segment) * 16 + ((offset + byte) & 0xffff))
}

/// The graphics controller set up so that a byte written is a colour, for the pixels of the bit mask.
fn with_planes(
    call: &mut Call<'_>,
    colour: u8,
    work: impl FnOnce(&mut Call<'_>) -> Served,
) -> Served {
    let mode = registers::graphics(call, MODE);
    registers::set_sequencer(call, PLANES, 0x0f);
    registers::set_graphics(call, MODE, WRITE_PLANES);
    let function = if colour & XOR != 0 { FUNCTION_XOR } else { 0 };
    registers::set_graphics(call, FUNCTION, function);
    let result = work(call);
    registers::set_graphics(call, FUNCTION, 0);
    registers::set_graphics(call, BIT_MASK, 0xff);
    registers::set_graphics(call, MODE, mode);
    result
}

/// Writes the pixels of `mask` in a byte; the read fills the latches with the others.
fn put_planar(call: &mut Call<'_>, at: Gva, mask: u8, colour: u8) -> Served {
    registers::set_graphics(call, BIT_MASK, mask);
    let _: u8 = call.load(at)?;
    call.store(at, &(colour & 0x0f))
}

/// Draws a character; its background is colour 0 unless it is exclusive-ored.
pub fn character(
    call: &mut Call<'_>,
    screen: &Screen,
    fonts: &Fonts,
    page: u8,
    at: Position,
    code: u8,
    colour: u8,
) -> Served {
    let height = screen.character_height;
    let top = u64::from(at.row) * u64::from(height);
    let column = u64::from(at.column);
    let glyph = font::glyph(call, fonts, screen, code)?;
    for (line, &bits) in (top..).zip(glyph.iter().take(height.into())) {
        if let Some(surface) = &screen.surface {
            surface.put_row(call, column * 8, line, bits, colour);
            continue;
        }
        match screen.mode.layout {
            Layout::Text => {}
            Layout::Planar => {
                let place = byte_at(screen, page, line, column);
                with_planes(call, colour, |call| {
                    if colour & XOR == 0 {
                        put_planar(call, place, 0xff, 0)?;
                    }
                    put_planar(call, place, bits, colour)
                })?;
            }
            Layout::Packed => {
                let place = byte_at(screen, page, line, column * 8);
                let pixels: [u8; 8] =
                    core::array::from_fn(
                        |pixel| if bits & 0x80 >> pixel != 0 { colour } else { 0 },
                    );
                call.store(place, &pixels)?;
            }
            Layout::Cga2 => {
                let place = byte_at(screen, page, line, column);
                let old: u8 = if colour & XOR != 0 {
                    call.load(place)?
                } else {
                    0
                };
                let ink = if colour & 1 != 0 { bits } else { 0 };
                call.store(place, &(old ^ ink))?;
            }
            Layout::Cga4 => {
                let place = byte_at(screen, page, line, column * 2);
                let ink = (0..8).fold(0_u16, |ink, pixel| {
                    let lit = u16::from(bits >> (7 - pixel) & 1);
                    ink << 2 | (lit * u16::from(colour & 3))
                });
                let old: [u8; 2] = if colour & XOR != 0 {
                    call.load(place)?
                } else {
                    [0; 2]
                };
                call.store(place, &(u16::from_be_bytes(old) ^ ink).to_be_bytes())?;
            }
        }
    }
    Ok(())
}

/// The character whose pixels are at a place, and the colour of its first pixel; 0 if it is none of the font's.
pub fn read_character(
    call: &mut Call<'_>,
    screen: &Screen,
    fonts: &Fonts,
    page: u8,
    at: Position,
) -> Served<Cell> {
    let height = screen.character_height;
    let top = u64::from(at.row) * u64::from(height);
    let left = u64::from(at.column) * 8;
    let (mut shape, mut attribute) = ([0_u8; font::MOST_LINES], 0);
    for (line, bits) in (top..).zip(&mut shape).take(height.into()) {
        for x in left..left + 8 {
            let colour = pixel(call, screen, page, line, x)?;
            *bits = *bits << 1 | u8::from(colour != 0);
            if attribute == 0 {
                attribute = colour;
            }
        }
    }
    for character in 0..=255 {
        if font::glyph(call, fonts, screen, character)? == shape {
            return Ok(Cell {
                character,
                attribute,
            });
        }
    }
    Ok(Cell {
        character: 0,
        attribute: 0,
    })
}

/// Scrolls a window of cells; new lines get colour `attribute`.
pub fn scroll(
    call: &mut Call<'_>,
    screen: &Screen,
    area: Area,
    direction: Scroll,
    rows: u8,
    attribute: u8,
) -> Served {
    let height = u64::from(screen.character_height);
    let page: u8 = call.load(bda::ACTIVE_PAGE)?;
    let first = u64::from(area.top.row) * height;
    let lines = u64::from(area.height) * height;
    let distance = u64::from(rows) * height;
    if let Some(surface) = &screen.surface {
        let (x, pixels) = (u64::from(area.top.column) * 8, u64::from(area.width) * 8);
        for step in 0..lines - distance {
            let to = match direction {
                Scroll::Up => first + step,
                Scroll::Down => first + lines - 1 - step,
            };
            let from = match direction {
                Scroll::Up => to + distance,
                Scroll::Down => to - distance,
            };
            surface.copy_row(call, x, pixels, from, to);
        }
        for step in 0..distance {
            let line = match direction {
                Scroll::Up => first + lines - 1 - step,
                Scroll::Down => first + step,
            };
            surface.fill_row(call, x, pixels, line, attribute);
        }
        return Ok(());
    }
    let cell_bytes = stride(screen) / u64::from(screen.columns);
    let left = u64::from(area.top.column) * cell_bytes;
    let bytes = (u64::from(area.width) * cell_bytes) as usize;
    let mut row = [0; 8 * 256];
    let row = &mut row[..bytes.min(8 * 256)];
    let planar = screen.mode.layout == Layout::Planar;
    let saved = registers::graphics(call, MODE);
    if planar {
        registers::set_sequencer(call, PLANES, 0x0f);
        registers::set_graphics(call, MODE, WRITE_LATCHES);
    }
    for step in 0..lines - distance {
        let (to, from) = match direction {
            Scroll::Up => (first + step, first + step + distance),
            Scroll::Down => {
                let to = first + lines - 1 - step;
                (to, to - distance)
            }
        };
        if planar {
            // Latches carry all four planes, a byte at a time.
            for byte in left..left + row.len() as u64 {
                let pixels: u8 = call.load(byte_at(screen, page, from, byte))?;
                call.store(byte_at(screen, page, to, byte), &pixels)?;
            }
        } else {
            call.read(byte_at(screen, page, from, left), row)?;
            call.write(byte_at(screen, page, to, left), row)?;
        }
    }
    if planar {
        registers::set_graphics(call, MODE, WRITE_PLANES);
    }
    row.fill(match screen.mode.layout {
        Layout::Cga4 => (attribute & 3) * 0x55,
        Layout::Cga2 => (attribute & 1) * 0xff,
        _ => attribute,
    });
    for step in 0..distance {
        let line = match direction {
            Scroll::Up => first + lines - 1 - step,
            Scroll::Down => first + step,
        };
        call.write(byte_at(screen, page, line, left), row)?;
    }
    if planar {
        registers::set_graphics(call, MODE, saved);
    }
    Ok(())
}

/// Function 0Ch: colour AL to the pixel at column CX, line DX of page BH.
pub fn write_pixel(call: &mut Call<'_>) -> Served {
    let screen = Screen::current(call)?;
    let (colour, page) = (call.al(), call.bh());
    let (x, line) = (u64::from(call.cx()), u64::from(call.dx()));
    if let Some(surface) = &screen.surface {
        surface.put(call, x, line, colour);
        return Ok(());
    }
    match screen.mode.layout {
        Layout::Text => Ok(()),
        Layout::Packed => call.store(byte_at(&screen, page, line, x), &colour),
        Layout::Planar => {
            let place = byte_at(&screen, page, line, x / 8);
            with_planes(call, colour, |call| {
                put_planar(call, place, 0x80 >> (x % 8), colour)
            })
        }
        Layout::Cga4 | Layout::Cga2 => {
            let (place, shift, mask) = cga_pixel(&screen, page, line, x);
            let old: u8 = call.load(place)?;
            let ink = (colour & mask) << shift;
            let new = if colour & XOR != 0 {
                old ^ ink
            } else {
                old & !(mask << shift) | ink
            };
            call.store(place, &new)
        }
    }
}

/// Function 0Dh: the colour of that pixel into AL.
pub fn read_pixel(call: &mut Call<'_>) -> Served {
    let screen = Screen::current(call)?;
    let (x, line) = (u64::from(call.cx()), u64::from(call.dx()));
    let colour = pixel(call, &screen, call.bh(), line, x)?;
    call.set_al(colour);
    Ok(())
}

/// A pixel's colour.
fn pixel(call: &mut Call<'_>, screen: &Screen, page: u8, line: u64, x: u64) -> Served<u8> {
    if let Some(surface) = &screen.surface {
        return Ok(surface.get(call, x, line));
    }
    Ok(match screen.mode.layout {
        Layout::Text => 0,
        Layout::Packed => call.load(byte_at(screen, page, line, x))?,
        Layout::Planar => {
            let place = byte_at(screen, page, line, x / 8);
            let mut colour = 0;
            for plane in 0..4 {
                registers::set_graphics(call, READ_PLANE, plane);
                let bits: u8 = call.load(place)?;
                colour |= (bits >> (7 - x % 8) & 1) << plane;
            }
            registers::set_graphics(call, READ_PLANE, 0);
            colour
        }
        Layout::Cga4 | Layout::Cga2 => {
            let (place, shift, mask) = cga_pixel(screen, page, line, x);
            let byte: u8 = call.load(place)?;
            byte >> shift & mask
        }
    })
}

/// Byte, shift and mask of a pixel in CGA memory.
fn cga_pixel(screen: &Screen, page: u8, line: u64, x: u64) -> (Gva, u8, u8) {
    if screen.mode.layout == Layout::Cga4 {
        (byte_at(screen, page, line, x / 4), 6 - 2 * (x % 4) as u8, 3)
    } else {
        (byte_at(screen, page, line, x / 8), 7 - (x % 8) as u8, 1)
    }
}
