//! Graphics as an IBM VGA makes them: shift registers, attribute controller, DAC.

use super::graphics::Shift;
use super::mode::Frame;
use super::scan::Line;
use super::screen::Screen;

/// Dots of a character clock at most.
pub(super) const CELL_DOTS: usize = 9;
/// The colours of a character clock's dots; with eight dots, the last is not shown.
pub(super) type Cell = [u32; CELL_DOTS];

/// How the lines of a picture are cut into cells.
pub(super) struct Grid {
    /// Dots of a cell.
    pub(super) dots: u32,
    /// Pixels of a dot.
    pub(super) dot_pixels: u32,
    /// Dots left of the picture.
    pub(super) panning: u32,
}

impl Grid {
    pub(super) fn new(frame: Frame, line: Line) -> Self {
        Self {
            dots: frame.dots,
            dot_pixels: frame.dot_pixels,
            panning: line.panning,
        }
    }

    /// Draws pixels from `x` on with the cells that `cell` makes.
    pub(super) fn draw(&self, x: u32, into: &mut [u32], mut cell: impl FnMut(u32) -> Cell) {
        let mut held = None;
        for (x, pixel) in (x..).zip(into) {
            let dot = x / self.dot_pixels + self.panning;
            let (column, dot) = (dot / self.dots, dot % self.dots);
            let colors = match held {
                Some((held, colors)) if held == column => colors,
                _ => cell(column),
            };
            held = Some((column, colors));
            *pixel = colors[dot as usize];
        }
    }

    /// The pixels of a line that cells `first` to `last` may show.
    pub(super) fn pixels(&self, first: u32, last: u32) -> core::ops::Range<u32> {
        let at = |column: u32| (column * self.dots).saturating_sub(self.panning) * self.dot_pixels;
        at(first)..at(last + 1)
    }
}

/// What the shift registers put out for the bytes of the four maps: eight values of four bits.
pub(super) fn serialize(shift: Shift, maps: [u8; 4]) -> [u8; 8] {
    core::array::from_fn(|dot| match shift {
        Shift::Planar => (0..4).fold(0, |value, map| value | (maps[map] >> (7 - dot) & 1) << map),
        Shift::Interleaved => {
            let (map, bit) = (dot / 4, 6 - 2 * (dot % 4));
            maps[map] >> bit & 3 | (maps[map + 2] >> bit & 3) << 2
        }
        Shift::Packed => maps[dot / 2] >> (4 * (1 - dot % 2)) & 0xf,
    })
}

impl Screen {
    /// The sixteen colours of the attribute controller.
    pub(super) fn palette(&self) -> [u32; 16] {
        let colors = self.registers.attribute.colors();
        colors.map(|color| self.registers.dac.rgb(color))
    }

    /// The dots of the four bytes at a place of memory.
    pub(super) fn raster_dots(&self, palette: &[u32; 16], shift: Shift, offset: u32) -> Cell {
        let mut maps = [0; 4];
        self.memory.read(offset, &mut maps);
        let values = serialize(shift, maps);
        let mut colors = [0; CELL_DOTS];
        if self.registers.attribute.eight_bits() {
            for (colors, pair) in colors.chunks_exact_mut(2).zip(values.chunks_exact(2)) {
                colors.fill(self.registers.dac.rgb(pair[0] << 4 | pair[1]));
            }
        } else {
            for (color, value) in colors.iter_mut().zip(values) {
                *color = palette[usize::from(value)];
            }
        }
        colors
    }
}
