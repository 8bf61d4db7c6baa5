//! The firmware's screen as an outlet for lines: VGA text or a linear framebuffer.

mod font;
mod grid;
mod memory;
mod pixels;
mod text;

use alloc::boxed::Box;
use boot::Framebuffer;
use grid::Grid;
use memory::VideoMemory;
use pixels::Pixels;
use text::{TEXT_MEMORY, Text};

enum Surface {
    Text(Text<'static>),
    Pixels(Box<Pixels<'static>>),
}

/// A screen that shows the latest lines.
pub struct Screen {
    grid: Grid,
    surface: Surface,
}

/// The physical range of a screen's memory, to be mapped write-combining: base and bytes. `None` if there is no screen.
pub fn memory_of(framebuffer: &Framebuffer) -> Option<(u64, u64)> {
    match *framebuffer {
        Framebuffer::None => None,
        Framebuffer::Text { columns, rows } => {
            Some((TEXT_MEMORY, 2 * u64::from(columns) * u64::from(rows)))
        }
        Framebuffer::Linear {
            base,
            pitch_bytes,
            height,
            ..
        } => Some((base, u64::from(pitch_bytes) * u64::from(height))),
    }
}

impl Screen {
    /// A blank screen. `None` if there is none, or of a kind that we cannot draw on (less than 15 bits per pixel).
    ///
    /// # Safety
    /// `memory` must be where the range that [`memory_of`] names is mapped for writing, for good, and nothing else may use it.
    pub unsafe fn new(framebuffer: &Framebuffer, memory: *mut u8) -> Option<Self> {
        let (_, bytes) = memory_of(framebuffer)?;
        // SAFETY: the caller vouches for the range.
        let memory = unsafe { VideoMemory::new(memory, usize::try_from(bytes).ok()?) };
        match *framebuffer {
            Framebuffer::None => None,
            Framebuffer::Text { columns, rows } => {
                let (columns, rows) = (columns as usize, rows as usize);
                let grid = Grid::new(columns, rows)?;
                Some(Self {
                    grid,
                    surface: Surface::Text(Text::new(memory, columns, rows)),
                })
            }
            Framebuffer::Linear {
                pitch_bytes,
                width,
                height,
                format,
                ..
            } => {
                let grid = Grid::new(width as usize / font::WIDTH, height as usize / font::HEIGHT)?;
                let pixels = Pixels::new(memory, pitch_bytes as usize, &format)?;
                Some(Self {
                    grid,
                    surface: Surface::Pixels(Box::new(pixels)),
                })
            }
        }
    }

    /// Adds one line; it shows after [`Screen::draw`].
    pub fn print_line(&mut self, prefix: &str, text: &str) {
        self.grid.write(prefix);
        self.grid.write(text);
        self.grid.next_row();
    }

    /// Shows what was added.
    pub fn draw(&mut self) {
        match &mut self.surface {
            Surface::Text(text) => self
                .grid
                .draw(|column, row, cell| text.draw(column, row, cell)),
            Surface::Pixels(pixels) => self
                .grid
                .draw(|column, row, cell| pixels.draw(column, row, cell)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec, vec::Vec};

    #[test]
    fn lines_appear_in_text_memory() {
        let framebuffer = Framebuffer::Text {
            columns: 20,
            rows: 3,
        };
        let (base, bytes) = memory_of(&framebuffer).unwrap();
        assert_eq!((base, bytes), (0xb8000, 120));
        let memory = Vec::leak(vec![0u8; 120]);
        // SAFETY: the memory is leaked, and read below only between draws.
        let mut screen = unsafe { Screen::new(&framebuffer, memory.as_mut_ptr()) }.unwrap();
        screen.print_line("error: ", "no bundle");
        screen.draw();
        let cells: String = memory
            .chunks(2)
            .take(20)
            .map(|cell| char::from(cell[0]))
            .collect();
        assert_eq!(cells.trim_end(), "error: no bundle");
        assert!(memory.chunks(2).all(|cell| cell[1] == 7));
    }

    #[test]
    fn without_a_screen_there_is_none() {
        // SAFETY: nothing is mapped, and nothing is touched.
        assert!(unsafe { Screen::new(&Framebuffer::None, core::ptr::null_mut()) }.is_none());
    }
}
