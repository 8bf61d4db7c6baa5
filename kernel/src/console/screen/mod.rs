//! The firmware's screen, VGA text or a linear framebuffer: an outlet for lines, a page about Monovisor, or the guest's screen.

mod font;
mod grid;
mod memory;
mod pixels;
mod place;
mod text;

use alloc::boxed::Box;
use boot::Framebuffer;
use core::fmt;
use grid::Grid;
use hvm::display::{Picture, Rect, Size};
use memory::VideoMemory;
use pixels::Pixels;
use place::Place;
use text::{TEXT_MEMORY, Text};

enum Surface {
    Text(Text<'static>),
    Pixels(Box<Pixels<'static>>),
}

impl Surface {
    fn clear(&mut self) {
        match self {
            Self::Text(text) => text.clear(),
            Self::Pixels(pixels) => pixels.clear(),
        }
    }

    fn draw(&mut self, grid: &mut Grid) {
        match self {
            Self::Text(text) => grid.draw(|column, row, cell| text.draw(column, row, cell)),
            Self::Pixels(pixels) => grid.draw(|column, row, cell| pixels.draw(column, row, cell)),
        }
    }
}

/// What a screen shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// The latest lines.
    Lines,
    /// A page.
    Page,
    /// The guest's screen, of that size.
    Guest(Size),
}

/// A screen. It keeps the latest lines, whatever it shows.
pub struct Screen {
    lines: Grid,
    page: Grid,
    surface: Surface,
    size: Size,
    front: Front,
}

/// Text into a grid.
struct Pen<'a>(&'a mut Grid);

impl fmt::Write for Pen<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.0.next_row();
            }
            self.0.write(line);
        }
        Ok(())
    }
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
        let (surface, columns, rows, size) = match *framebuffer {
            Framebuffer::None => return None,
            Framebuffer::Text { columns, rows } => {
                let size = Size {
                    width: columns,
                    height: rows,
                };
                let (columns, rows) = (columns as usize, rows as usize);
                let text = Text::new(memory, columns, rows);
                (Surface::Text(text), columns, rows, size)
            }
            Framebuffer::Linear {
                pitch_bytes,
                width,
                height,
                format,
                ..
            } => {
                let pixels = Pixels::new(memory, pitch_bytes as usize, &format)?;
                let (columns, rows) =
                    (width as usize / font::WIDTH, height as usize / font::HEIGHT);
                let size = Size { width, height };
                (Surface::Pixels(Box::new(pixels)), columns, rows, size)
            }
        };
        Some(Self {
            lines: Grid::new(columns, rows)?,
            page: Grid::new(columns, rows)?,
            surface,
            size,
            front: Front::Lines,
        })
    }

    /// Adds one line; it shows after [`Screen::draw`].
    pub fn print_line(&mut self, prefix: &str, text: &str) {
        self.lines.write(prefix);
        self.lines.write(text);
        self.lines.next_row();
    }

    /// Shows the lines that were added, unless something else is to be seen.
    pub fn draw(&mut self) {
        if self.front == Front::Lines {
            self.surface.draw(&mut self.lines);
        }
    }

    /// Turns to the lines.
    pub fn show_lines(&mut self) {
        if self.turn(Front::Lines) {
            self.lines.blanked();
        }
        self.draw();
    }

    /// Shows a page of text, which `write` is told the size of in columns and rows. A row more would move it up.
    pub fn show_page(
        &mut self,
        write: impl FnOnce(&mut dyn fmt::Write, (usize, usize)) -> fmt::Result,
    ) {
        if self.turn(Front::Page) {
            self.page.blanked();
        }
        self.page.restart();
        let size = self.page.size();
        // A grid takes everything.
        let _ = write(&mut Pen(&mut self.page), size);
        self.surface.draw(&mut self.page);
    }

    /// Shows the guest's screen, of which `changed` differs from what was shown last.
    pub fn show_guest(&mut self, picture: &dyn Picture, changed: &[Rect]) {
        let size = picture.size();
        let whole = [size.whole()];
        let changed = if self.turn(Front::Guest(size)) {
            &whole[..]
        } else {
            changed
        };
        if changed.is_empty() || size.width == 0 || size.height == 0 {
            return;
        }
        match &mut self.surface {
            Surface::Pixels(pixels) => {
                let place = Place::new(size, self.size);
                for &rect in changed {
                    pixels.show(picture, &place, rect);
                }
            }
            Surface::Text(text) => match picture.text() {
                Some(screen) => text.show(&screen),
                None => {
                    let words = b"The guest's screen shows graphics; this one has characters only.";
                    for (column, &character) in words.iter().enumerate() {
                        text.draw(column, 0, character);
                    }
                }
            },
        }
    }

    /// Turns to something; true if it was not there before, and the screen is now blank.
    fn turn(&mut self, front: Front) -> bool {
        let turns = self.front != front;
        if turns {
            self.front = front;
            self.surface.clear();
        }
        turns
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
