//! VGA text memory: a character and an attribute a cell.

use super::memory::VideoMemory;
use hvm::display::TextScreen;

/// Where text modes keep their cells.
pub const TEXT_MEMORY: u64 = 0xb8000;
/// Light grey on black.
const ATTRIBUTE: u8 = 0x07;

/// A VGA text screen.
pub struct Text<'a> {
    memory: VideoMemory<'a>,
    columns: usize,
    rows: usize,
}

impl<'a> Text<'a> {
    /// A screen of `columns` by `rows`, blanked.
    pub fn new(memory: VideoMemory<'a>, columns: usize, rows: usize) -> Self {
        let mut text = Self {
            memory,
            columns,
            rows,
        };
        text.clear();
        text
    }

    /// Blanks it.
    pub fn clear(&mut self) {
        for cell in 0..self.columns * self.rows {
            self.memory.store(2 * cell, &[b' ', ATTRIBUTE]);
        }
    }

    /// Shows a guest's characters, as far as there is room.
    pub fn show(&mut self, screen: &TextScreen) {
        let rows = screen.cells.chunks(usize::from(screen.columns).max(1));
        for (row, cells) in rows.take(self.rows).enumerate() {
            for (column, cell) in cells.iter().take(self.columns).enumerate() {
                let place = 2 * (row * self.columns + column);
                self.memory.store(place, &[cell.code, cell.attribute]);
            }
        }
    }

    /// Puts a character in a cell.
    pub fn draw(&mut self, column: usize, row: usize, character: u8) {
        let character = if character.is_ascii_graphic() || character == b' ' {
            character
        } else {
            b'?'
        };
        self.memory
            .store(2 * (row * self.columns + column), &[character, ATTRIBUTE]);
    }
}
