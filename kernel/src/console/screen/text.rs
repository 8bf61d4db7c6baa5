//! VGA text memory: a character and an attribute a cell.

use super::memory::VideoMemory;

/// Where text modes keep their cells.
pub const TEXT_MEMORY: u64 = 0xb8000;
/// Light grey on black.
const ATTRIBUTE: u8 = 0x07;

/// A VGA text screen.
pub struct Text<'a> {
    memory: VideoMemory<'a>,
    columns: usize,
}

impl<'a> Text<'a> {
    /// A screen of `columns` by `rows`, blanked.
    pub fn new(memory: VideoMemory<'a>, columns: usize, rows: usize) -> Self {
        let mut text = Self { memory, columns };
        for cell in 0..columns * rows {
            text.memory.store(2 * cell, &[b' ', ATTRIBUTE]);
        }
        text
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
