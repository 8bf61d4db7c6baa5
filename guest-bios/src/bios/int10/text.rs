//! Text: characters, teletype, strings, scrolling (INT 10h functions 06h to 0Ah, 0Eh, 13h).

use super::super::bda;
use super::super::call::{Call, Served};
use super::Fonts;
use super::draw;
use super::screen::{self, Cell, Position, Screen};
use guest_mem::Gva;
use hvm::regs::SegmentName;

const BELL: u8 = 7;
const BACKSPACE: u8 = 8;
const LINE_FEED: u8 = 10;
const RETURN: u8 = 13;

/// Which way a window scrolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scroll {
    Up,
    Down,
}

/// A rectangle of cells, corners included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub top: Position,
    pub bottom: Position,
}

/// Functions 06h and 07h: AL lines (0: clear), BH the new lines' attribute, CX and DX the corners.
pub fn scroll_window(call: &mut Call<'_>, direction: Scroll) -> Served {
    let screen = Screen::current(call)?;
    let page: u8 = call.load(bda::ACTIVE_PAGE)?;
    let window = Window {
        top: Position {
            row: call.ch(),
            column: call.cl(),
        },
        bottom: Position {
            row: call.dh(),
            column: call.dl(),
        },
    };
    let (lines, attribute) = (call.al(), call.bh());
    scroll(call, &screen, page, window, direction, lines, attribute)
}

/// Scrolls a window by `lines`, 0 or too many of which clear it.
pub fn scroll(
    call: &mut Call<'_>,
    screen: &Screen,
    page: u8,
    window: Window,
    direction: Scroll,
    lines: u8,
    attribute: u8,
) -> Served {
    let bottom = window.bottom.row.min(screen.rows - 1);
    let right = window.bottom.column.min(screen.columns - 1);
    let (top, left) = (window.top.row, window.top.column);
    if top > bottom || left > right {
        return Ok(());
    }
    let (height, width) = (bottom - top + 1, right - left + 1);
    let lines = if lines == 0 || lines > height {
        height
    } else {
        lines
    };
    if !screen.is_text() {
        let area = draw::Area {
            top: Position {
                row: top,
                column: left,
            },
            height,
            width,
        };
        return draw::scroll(call, screen, area, direction, lines, attribute);
    }
    let mut cells = [0; 2 * 256];
    let cells = &mut cells[..2 * usize::from(width)];
    let at = |row: u8| Position { row, column: left };
    for step in 0..height - lines {
        let (to, from) = match direction {
            Scroll::Up => (top + step, top + step + lines),
            Scroll::Down => (bottom - step, bottom - step - lines),
        };
        screen.read_row(call, page, at(from), cells)?;
        screen.write_row(call, page, at(to), cells)?;
    }
    let blank = Cell {
        character: b' ',
        attribute,
    };
    for step in 0..lines {
        let row = match direction {
            Scroll::Up => bottom - step,
            Scroll::Down => top + step,
        };
        screen.fill_row(call, page, at(row), width, blank)?;
    }
    Ok(())
}

/// Function 08h: the cell under the cursor of page BH, character in AL and attribute in AH.
pub fn read_cell(call: &mut Call<'_>, fonts: &Fonts) -> Served {
    let screen = Screen::current(call)?;
    let page = call.bh();
    let at = screen::cursor(call, page)?;
    let cell = if screen.is_text() {
        screen.cell(call, page, at)?
    } else {
        draw::read_character(call, &screen, fonts, page, at)?
    };
    call.set_al(cell.character);
    call.set_ah(cell.attribute);
    Ok(())
}

/// Functions 09h and 0Ah: character AL, CX times from the cursor of page BH on, with attribute BL or with those there.
pub fn write_cells(call: &mut Call<'_>, fonts: &Fonts, attribute: Option<u8>) -> Served {
    let screen = Screen::current(call)?;
    let (page, character) = (call.bh(), call.al());
    let mut at = screen::cursor(call, page)?;
    // No more than the screen has.
    let room = u16::from(screen.rows) * u16::from(screen.columns);
    for _ in 0..call.cx().min(room) {
        if screen.is_text() {
            screen.put(call, page, at, character, attribute)?;
        } else {
            let colour = call.bl();
            draw::character(call, &screen, fonts, page, at, character, colour)?;
        }
        at.column += 1;
        if at.column >= screen.columns {
            at = Position {
                row: at.row.saturating_add(1),
                column: 0,
            };
            if at.row >= screen.rows {
                break;
            }
        }
    }
    Ok(())
}

/// Function 0Eh: AL as a terminal shows it, in graphics modes with colour BL.
pub fn teletype(call: &mut Call<'_>, fonts: &Fonts) -> Served {
    let page: u8 = call.load(bda::ACTIVE_PAGE)?;
    let (character, colour) = (call.al(), call.bl());
    type_out(call, fonts, page, character, None, colour)
}

/// A character at the cursor, which moves on; at the end of the screen the screen scrolls.
fn type_out(
    call: &mut Call<'_>,
    fonts: &Fonts,
    page: u8,
    character: u8,
    attribute: Option<u8>,
    colour: u8,
) -> Served {
    let screen = Screen::current(call)?;
    let mut at = screen::cursor(call, page)?;
    match character {
        BELL => return Ok(()),
        BACKSPACE => at.column = at.column.saturating_sub(1),
        RETURN => at.column = 0,
        LINE_FEED => at.row = at.row.saturating_add(1),
        _ => {
            if screen.is_text() {
                screen.put(call, page, at, character, attribute)?;
            } else {
                draw::character(call, &screen, fonts, page, at, character, colour)?;
            }
            at.column = at.column.saturating_add(1);
            if at.column >= screen.columns {
                at = Position {
                    row: at.row.saturating_add(1),
                    column: 0,
                };
            }
        }
    }
    if at.row >= screen.rows {
        at.row = screen.rows - 1;
        let attribute = if screen.is_text() {
            screen.cell(call, page, at)?.attribute
        } else {
            0
        };
        let all = Window {
            top: Position { row: 0, column: 0 },
            bottom: Position {
                row: screen.rows - 1,
                column: screen.columns - 1,
            },
        };
        scroll(call, &screen, page, all, Scroll::Up, 1, attribute)?;
    }
    screen::set_cursor(call, page, at)
}

/// Shows a text of the firmware's own on the shown page.
pub fn print(call: &mut Call<'_>, fonts: &Fonts, text: &str) -> Served {
    const LIGHT_GREY: u8 = 7;
    let page: u8 = call.load(bda::ACTIVE_PAGE)?;
    for byte in text.bytes() {
        if byte == b'\n' {
            type_out(call, fonts, page, RETURN, None, LIGHT_GREY)?;
        }
        type_out(call, fonts, page, byte, None, LIGHT_GREY)?;
    }
    Ok(())
}

/// Function 13h: CX characters at ES:BP to row DH, column DL of page BH. AL bit 0 moves the cursor, bit 1 tells that
/// attributes stand between the characters.
pub fn write_string(call: &mut Call<'_>, fonts: &Fonts) -> Served {
    const MOVE_CURSOR: u8 = 1;
    const WITH_ATTRIBUTES: u8 = 2;
    let (options, page) = (call.al(), call.bh());
    let mut source = call.bp();
    let before = screen::cursor(call, page)?;
    let start = Position {
        row: call.dh(),
        column: call.dl(),
    };
    screen::set_cursor(call, page, start)?;
    for _ in 0..call.cx() {
        let character: u8 = call.load(next(call, &mut source))?;
        let attribute = if options & WITH_ATTRIBUTES != 0 {
            call.load(next(call, &mut source))?
        } else {
            call.bl()
        };
        type_out(call, fonts, page, character, Some(attribute), attribute)?;
    }
    if options & MOVE_CURSOR == 0 {
        screen::set_cursor(call, page, before)?;
    }
    Ok(())
}

/// The address of the next byte of a string in ES.
fn next(call: &Call<'_>, offset: &mut u16) -> Gva {
    let at = call.linear(SegmentName::Es, (*offset).into());
    *offset = offset.wrapping_add(1);
    at
}
