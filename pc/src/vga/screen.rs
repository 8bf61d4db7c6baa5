//! All that decides over the picture, apart from what the CPU does to it.

use super::mode::Mode;
use super::raster::Grid;
use super::timing::Blink;
use super::{Registers, VideoMemory};
use alloc::sync::Arc;
use hvm::display::{Picture, Rect, Size, TextScreen};

/// Registers, memory, and which phase blinking is in. A clone has registers of its own and shares memory.
#[derive(Clone)]
pub(super) struct Screen {
    pub(super) registers: Registers,
    pub(super) memory: Arc<dyn VideoMemory>,
    /// As the last viewer was told.
    pub(super) blink: Blink,
}

impl Screen {
    /// Draws pixels of a line that are within it.
    fn draw(&self, mode: &Mode, palette: &[u32; 16], (x, y): (u32, u32), into: &mut [u32]) {
        match mode {
            Mode::Blank(_) => into.fill(0),
            Mode::Linear(scanout) => self.draw_linear(scanout, x, y, into),
            Mode::Planar(scanout) => self.draw_planar(scanout, palette, (x, y), into),
            Mode::Text(frame) => {
                let line = self.registers.line(y, frame.dots);
                let grid = Grid::new(*frame, line);
                grid.draw(x, into, |column| self.text_dots(palette, line, column));
            }
            Mode::Raster(frame) => {
                let line = self.registers.line(y, frame.dots);
                let shift = self.registers.graphics.shift();
                let grid = Grid::new(*frame, line);
                grid.draw(x, into, |column| {
                    self.raster_dots(palette, shift, self.registers.cell(line, column))
                });
            }
        }
    }
}

impl Picture for Screen {
    fn size(&self) -> Size {
        self.registers.mode().size()
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        let mode = self.registers.mode();
        let size = mode.size();
        let palette = self.palette();
        let columns = (rect.width as usize).max(1);
        let visible = size.width.saturating_sub(rect.x).min(rect.width) as usize;
        let lines = into.chunks_mut(columns).take(rect.height as usize);
        for (line, into) in (0_u32..).zip(lines) {
            let y = rect.y.saturating_add(line);
            let inside = if y < size.height { visible } else { 0 };
            let (inside, outside) = into.split_at_mut(inside.min(into.len()));
            outside.fill(0);
            if !inside.is_empty() {
                self.draw(&mode, &palette, (rect.x, y), inside);
            }
        }
    }

    fn text(&self) -> Option<TextScreen> {
        match self.registers.mode() {
            Mode::Text(frame) => Some(self.text_screen(frame)),
            _ => None,
        }
    }
}
