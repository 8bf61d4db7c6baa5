//! What the BIOS data area knows of the screen, and cells of text on it.

use super::super::bda;
use super::super::call::{Call, Served};
use super::modes::{self, Layout, Mode};
use super::registers;
use super::vbe::Surface;
use guest_mem::Gva;

/// Text pages with a cursor.
pub const PAGES: u8 = 8;

/// The screen as the caller left it; every number is the guest's and may be nonsense.
#[derive(Clone, Copy)]
pub struct Screen {
    pub mode: &'static Mode,
    /// The picture, if a VBE mode has the screen.
    pub surface: Option<Surface>,
    pub columns: u8,
    /// Rows of text.
    pub rows: u8,
    pub page_bytes: u16,
    pub character_height: u8,
}

/// A place in a text page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub row: u8,
    pub column: u8,
}

/// A character with its colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub character: u8,
    pub attribute: u8,
}

impl Cell {
    const fn bytes(self) -> [u8; 2] {
        [self.character, self.attribute]
    }
}

impl Screen {
    /// Reads the data area. Mode 3 stands in for a mode that there is not, so that text goes somewhere.
    pub fn current(call: &mut Call<'_>) -> Served<Self> {
        let number: u8 = call.load(bda::VIDEO_MODE)?;
        let mode = modes::find(number).unwrap_or(&modes::MODES[3]);
        let columns: u16 = call.load(bda::COLUMNS)?;
        let last_row: u8 = call.load(bda::LAST_ROW)?;
        let height: u16 = call.load(bda::CHARACTER_HEIGHT)?;
        let surface = match mode.layout {
            Layout::Text => None,
            _ => Surface::current(call),
        };
        Ok(Self {
            mode,
            surface,
            columns: columns.clamp(1, 255) as u8,
            rows: last_row.saturating_add(1),
            page_bytes: call.load(bda::PAGE_BYTES)?,
            character_height: height.clamp(1, 32) as u8,
        })
    }

    pub fn is_text(&self) -> bool {
        self.mode.layout == Layout::Text
    }

    fn cell_at(&self, page: u8, at: Position) -> Gva {
        let cell = u16::from(at.row) * u16::from(self.columns) + u16::from(at.column);
        let offset = self
            .page_bytes
            .wrapping_mul(page.into())
            .wrapping_add(cell.wrapping_mul(2));
        Gva(u64::from(self.mode.segment) * 16 + u64::from(offset))
    }

    pub fn cell(&self, call: &mut Call<'_>, page: u8, at: Position) -> Served<Cell> {
        let [character, attribute] = call.load(self.cell_at(page, at))?;
        Ok(Cell {
            character,
            attribute,
        })
    }

    /// Writes a cell; without attribute only the character changes.
    pub fn put(
        &self,
        call: &mut Call<'_>,
        page: u8,
        at: Position,
        character: u8,
        attribute: Option<u8>,
    ) -> Served {
        let address = self.cell_at(page, at);
        match attribute {
            Some(attribute) => call.store(address, &[character, attribute]),
            None => call.store(address, &character),
        }
    }

    /// Reads `cells` from a row into `row`.
    pub fn read_row(&self, call: &mut Call<'_>, page: u8, at: Position, row: &mut [u8]) -> Served {
        call.read(self.cell_at(page, at), row)
    }

    /// Writes cells to a row.
    pub fn write_row(&self, call: &mut Call<'_>, page: u8, at: Position, row: &[u8]) -> Served {
        call.write(self.cell_at(page, at), row)
    }

    /// Fills cells of a row.
    pub fn fill_row(
        &self,
        call: &mut Call<'_>,
        page: u8,
        at: Position,
        cells: u8,
        with: Cell,
    ) -> Served {
        let mut row = [0; 2 * 256];
        let row = &mut row[..2 * usize::from(cells)];
        for cell in row.chunks_exact_mut(2) {
            cell.copy_from_slice(&with.bytes());
        }
        self.write_row(call, page, at, row)
    }

    /// Shows the hardware cursor where the shown page has it.
    pub fn show_cursor(&self, call: &mut Call<'_>, page: u8, at: Position) {
        let cell = u16::from(at.row) * u16::from(self.columns) + u16::from(at.column);
        let start = self.page_bytes.wrapping_mul(page.into()) / 2;
        registers::set_crtc_word(call, registers::CURSOR_HIGH, start.wrapping_add(cell));
    }
}

/// Where a page's cursor is kept.
fn cursor_place(page: u8) -> Gva {
    bda::CURSORS.wrapping_add(2 * u64::from(page % PAGES))
}

pub fn cursor(call: &mut Call<'_>, page: u8) -> Served<Position> {
    let [column, row] = call.load(cursor_place(page))?;
    Ok(Position { row, column })
}

/// Moves a page's cursor.
pub fn set_cursor(call: &mut Call<'_>, page: u8, at: Position) -> Served {
    call.store(cursor_place(page), &[at.column, at.row])?;
    let active: u8 = call.load(bda::ACTIVE_PAGE)?;
    if active == page {
        let screen = Screen::current(call)?;
        screen.show_cursor(call, page, at);
    }
    Ok(())
}
