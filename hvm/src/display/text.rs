//! A screen as text.

use super::cp437;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A character cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCell {
    /// The character in code page 437. Its look is up to the font, which the guest may have changed.
    pub code: u8,
    /// Foreground in bits 0 to 3, background in bits 4 to 7; with blinking on, bit 7 blinks.
    pub attribute: u8,
}

/// What a text mode shows. Its `Display` prints the lines without trailing spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextScreen {
    /// Cells in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// All cells, row by row: `columns × rows`.
    pub cells: Vec<TextCell>,
    /// Column and row of the cursor, if it is switched on and within the screen.
    pub cursor: Option<(u16, u16)>,
}

impl TextScreen {
    /// The characters of a row (0…), without trailing spaces; nothing if there is no such row.
    pub fn line(&self, row: u16) -> String {
        let columns = usize::from(self.columns);
        let cells = self.cells.iter().skip(usize::from(row) * columns);
        let line: String = cells
            .take(columns)
            .map(|cell| cp437::character(cell.code))
            .collect();
        line.trim_end_matches([' ', '\u{a0}']).into()
    }
}

impl fmt::Display for TextScreen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.rows).try_for_each(|row| writeln!(f, "{}", self.line(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn prints_its_lines() {
        let cells = b"Hi \0\xcd\xcd\xff\xff".map(|code| TextCell { code, attribute: 7 });
        let screen = TextScreen {
            columns: 4,
            rows: 2,
            cells: cells.to_vec(),
            cursor: None,
        };
        assert_eq!(screen.to_string(), "Hi\n══\n");
        assert_eq!(screen.line(2), "");
    }
}
