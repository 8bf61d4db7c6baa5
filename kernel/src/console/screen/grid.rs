//! What the screen should show and what it shows: a shadow in ordinary memory, so that video memory is never read and only cells
//! that differ are written.

use alloc::{vec, vec::Vec};
use core::ops::Range;

/// Cells in rows.
pub struct Grid {
    columns: usize,
    rows: usize,
    column: usize,
    row: usize,
    wanted: Vec<u8>,
    shown: Vec<u8>,
    /// Rows in which the two may differ.
    changed: Range<usize>,
}

impl Grid {
    /// A blank grid, shown as such. `None` without cells.
    pub fn new(columns: usize, rows: usize) -> Option<Self> {
        let cells = columns.checked_mul(rows).filter(|cells| *cells > 0)?;
        Some(Self {
            columns,
            rows,
            column: 0,
            row: 0,
            wanted: vec![b' '; cells],
            shown: vec![b' '; cells],
            changed: 0..0,
        })
    }

    /// Writes text at the cursor, wrapped at the right edge. Each character outside ASCII takes one cell.
    pub fn write(&mut self, text: &str) {
        for character in text.chars() {
            if self.column == self.columns {
                self.next_row();
            }
            let character = u8::try_from(character).unwrap_or(b'?');
            self.wanted[self.row * self.columns + self.column] = character;
            self.column += 1;
            self.mark(self.row..self.row + 1);
        }
    }

    /// Moves to the start of the next row. A full screen moves up by a quarter: drawing it anew for every line costs too much on large
    /// framebuffers.
    pub fn next_row(&mut self) {
        self.column = 0;
        self.row += 1;
        if self.row == self.rows {
            let rows = self.rows.div_ceil(4);
            self.wanted.copy_within(rows * self.columns.., 0);
            self.row -= rows;
            self.wanted[self.row * self.columns..].fill(b' ');
            self.mark(0..self.rows);
        }
    }

    /// Blanks all cells and goes back to the first, to be written anew.
    pub fn restart(&mut self) {
        self.wanted.fill(b' ');
        (self.column, self.row) = (0, 0);
        self.mark(0..self.rows);
    }

    /// Somebody has blanked the screen.
    pub fn blanked(&mut self) {
        self.shown.fill(b' ');
        self.mark(0..self.rows);
    }

    /// Cells in a row, and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    fn mark(&mut self, rows: Range<usize>) {
        self.changed = if self.changed.is_empty() {
            rows
        } else {
            self.changed.start.min(rows.start)..self.changed.end.max(rows.end)
        };
    }

    /// Draws what changed since the last time: `draw(column, row, character)` for each cell that differs.
    pub fn draw(&mut self, mut draw: impl FnMut(usize, usize, u8)) {
        for row in core::mem::take(&mut self.changed) {
            let cells = row * self.columns..(row + 1) * self.columns;
            let pairs = self.wanted[cells.clone()]
                .iter()
                .zip(&mut self.shown[cells]);
            for (column, (wanted, shown)) in pairs.enumerate() {
                if wanted != shown {
                    *shown = *wanted;
                    draw(column, row, *wanted);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    /// A screen that remembers what was drawn.
    struct Glass(Vec<u8>, usize);

    impl Glass {
        fn new(columns: usize, rows: usize) -> Self {
            Self(vec![b' '; columns * rows], columns)
        }
        fn show(&mut self, grid: &mut Grid) -> usize {
            let mut drawn = 0;
            grid.draw(|column, row, character| {
                self.0[row * self.1 + column] = character;
                drawn += 1;
            });
            drawn
        }
        fn rows(&self) -> Vec<String> {
            let text = |row: &[u8]| String::from_utf8_lossy(row).trim_end().into();
            self.0.chunks(self.1).map(text).collect()
        }
    }

    #[test]
    fn text_wraps_and_only_changes_are_drawn() {
        let mut grid = Grid::new(4, 4).unwrap();
        let mut glass = Glass::new(4, 4);
        grid.write("host: x");
        assert_eq!(glass.show(&mut grid), 6);
        assert_eq!(glass.rows(), ["host", ": x", "", ""]);
        assert_eq!(glass.show(&mut grid), 0);
    }

    #[test]
    fn a_full_screen_moves_up_by_a_quarter() {
        let mut grid = Grid::new(3, 8).unwrap();
        let mut glass = Glass::new(3, 8);
        for line in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            grid.write(line);
            grid.next_row();
        }
        glass.show(&mut grid);
        assert_eq!(glass.rows(), ["c", "d", "e", "f", "g", "h", "", ""]);
    }

    #[test]
    fn one_row_is_a_screen_too() {
        let mut grid = Grid::new(5, 1).unwrap();
        let mut glass = Glass::new(5, 1);
        grid.write("one");
        grid.next_row();
        grid.write("two");
        glass.show(&mut grid);
        assert_eq!(glass.rows(), ["two"]);
        assert!(Grid::new(0, 1).is_none());
        assert!(Grid::new(usize::MAX, 2).is_none());
    }

    proptest! {
        #[test]
        fn the_glass_shows_what_is_wanted(
            columns in 1usize..9, rows in 1usize..9, lines in proptest::collection::vec(".{0,12}", 0..30),
        ) {
            let mut grid = Grid::new(columns, rows).unwrap();
            let mut glass = Glass::new(columns, rows);
            for line in &lines {
                grid.write(line);
                grid.next_row();
                glass.show(&mut grid);
                prop_assert_eq!(&glass.0, &grid.wanted);
            }
        }
    }
}
