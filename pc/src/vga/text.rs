//! Text: characters from map 0, attributes from map 1, fonts from map 2.

use super::mode::Frame;
use super::raster::{CELL_DOTS, Cell};
use super::scan::Line;
use super::screen::Screen;
use hvm::display::{TextCell, TextScreen};

/// Characters whose ninth dot may repeat the eighth.
const LINE_GRAPHICS: core::ops::RangeInclusive<u8> = 0xc0..=0xdf;
/// A font has 32 bytes for each character.
const GLYPH_SHIFT: u32 = 5;
/// The attribute's foreground, and its bit that selects the font.
const FOREGROUND: u8 = 0x0f;
const SECOND_FONT: u8 = 1 << 3;
/// The attribute's blink bit, and the colours of an attribute without it.
pub(super) const BLINK: u8 = 1 << 7;
const UNDERLINED: u8 = 1;
const UNDERLINE_MASK: u8 = 7;
/// All dots of a character.
const FULL: u16 = (1 << CELL_DOTS) - 1;

impl Screen {
    /// Character and attribute at a place of memory.
    pub(super) fn text_cell(&self, offset: u32) -> TextCell {
        let mut maps = [0; 2];
        self.memory.read(offset, &mut maps);
        let [code, attribute] = maps;
        TextCell { code, attribute }
    }

    /// The dots of one line of one character.
    pub(super) fn text_dots(&self, palette: &[u32; 16], line: Line, column: u32) -> Cell {
        let attribute_registers = &self.registers.attribute;
        let cell = self.text_cell(self.registers.cell(line, column));
        let blinks = attribute_registers.blinks();
        let background = cell.attribute >> 4 & if blinks { 7 } else { 0xf };
        let dots = if self.cursor_covers(line, column) || self.underlines(cell, line) {
            FULL
        } else if blinks && cell.attribute & BLINK != 0 && self.blink.text_hidden {
            0
        } else {
            self.glyph(cell, line.row_scan)
        };
        let foreground = palette[usize::from(cell.attribute & FOREGROUND)];
        let background = palette[usize::from(background)];
        core::array::from_fn(|dot| {
            let lit = dots >> (CELL_DOTS - 1 - dot) & 1 != 0;
            if lit { foreground } else { background }
        })
    }

    /// A line of a character's glyph: eight dots of the font, then the ninth.
    fn glyph(&self, cell: TextCell, row_scan: u32) -> u16 {
        let second = cell.attribute & SECOND_FONT != 0;
        let font = self.registers.sequencer.fonts()[usize::from(second)];
        let glyph = u16::from(cell.code) << GLYPH_SHIFT | row_scan as u16 & 0x1f;
        let mut dots = [0];
        let offset = 4 * u32::from(font.wrapping_add(glyph)) + 2;
        self.memory.read(offset, &mut dots);
        let dots = u16::from(dots[0]);
        let repeats =
            self.registers.attribute.line_graphics() && LINE_GRAPHICS.contains(&cell.code);
        dots << 1 | if repeats { dots & 1 } else { 0 }
    }

    fn underlines(&self, cell: TextCell, line: Line) -> bool {
        self.registers.attribute.monochrome()
            && cell.attribute & UNDERLINE_MASK == UNDERLINED
            && line.row_scan == self.registers.crtc.underline()
    }

    fn cursor_covers(&self, line: Line, column: u32) -> bool {
        let crtc = &self.registers.crtc;
        !self.blink.cursor_hidden
            && self.registers.counter(line, column) == crtc.cursor_address()
            && crtc
                .cursor_lines()
                .is_some_and(|lines| lines.contains(&line.row_scan))
    }

    /// Where in memory the cursor's character is.
    pub(super) fn cursor_offset(&self) -> u32 {
        let crtc = &self.registers.crtc;
        4 * u32::from(crtc.address(crtc.cursor_address(), 0))
    }

    /// Pixel lines of a row of characters, and how many rows there are.
    pub(super) fn rows(&self, frame: Frame) -> (u32, u32) {
        let crtc = &self.registers.crtc;
        let lines = crtc.row_lines() * crtc.repeats() * crtc.lines_per_count();
        (lines, (frame.size.height / lines).max(1))
    }

    /// The screen as text.
    pub(super) fn text_screen(&self, frame: Frame) -> TextScreen {
        let (lines, rows) = self.rows(frame);
        let mut screen = TextScreen {
            columns: frame.columns as u16,
            rows: rows as u16,
            ..TextScreen::default()
        };
        let cursor = self.registers.crtc.cursor_lines().is_some();
        let cursor = cursor.then(|| self.cursor_offset());
        for row in 0..rows {
            let line = self.registers.line(row * lines, frame.dots);
            for column in 0..frame.columns {
                let offset = self.registers.cell(line, column);
                screen.cells.push(self.text_cell(offset));
                if cursor == Some(offset) && screen.cursor.is_none() {
                    screen.cursor = Some((column as u16, row as u16));
                }
            }
        }
        screen
    }
}
