//! The chip as a screen.

use super::Vga;
use super::picture::{Frame, Picture};
use super::raster::Grid;
use super::scan::Line;
use core::ops::Range;
use hvm::Instant;
use hvm::display::{Display, Rect, Size, Stamp, TextScreen};

/// Lines that changed, put together to rectangles.
struct Bands<'a> {
    size: Size,
    open: Option<Rect>,
    changed: &'a mut dyn FnMut(Rect),
}

impl Bands<'_> {
    /// Takes the changed pixels of the next line.
    fn line(&mut self, y: u32, extent: Option<Range<u32>>) {
        let extent = extent.map(|extent| extent.start..extent.end.min(self.size.width));
        let Some(extent) = extent.filter(|extent| !extent.is_empty()) else {
            self.close();
            return;
        };
        let band = self.open.get_or_insert(Rect {
            x: extent.start,
            y,
            width: 0,
            height: 0,
        });
        let right = (band.x + band.width).max(extent.end);
        band.x = band.x.min(extent.start);
        band.width = right - band.x;
        band.height = y - band.y + 1;
    }

    fn close(&mut self) {
        if let Some(band) = self.open.take() {
            (self.changed)(band);
        }
    }
}

impl Vga {
    /// The pixels of a scanned line that changed after `since`.
    fn frame_extent(&self, frame: Frame, line: Line, since: u64) -> Option<Range<u32>> {
        let changed = |column: &u32| {
            let offset = self.registers.cell(line, *column);
            self.changes.any_since(offset..offset + 4, since)
        };
        // Panning brings a part of one more cell into view.
        let mut columns = 0..frame.columns + 1;
        let first = columns.find(changed)?;
        let last = columns.rfind(changed).unwrap_or(first);
        Some(Grid::new(frame, line).pixels(first, last))
    }

    /// Tells the changes after `since` line by line.
    fn tell_changes(&self, picture: &Picture, since: u64, bands: &mut Bands<'_>) {
        let mut extent = None;
        // Most lines show the same memory as the one before: in text modes, and where lines are shown twice.
        let mut walk = None;
        for y in 0..bands.size.height {
            match picture {
                Picture::Blank(_) => {}
                Picture::Linear(scanout) => extent = self.linear_extent(scanout, y, since),
                Picture::Planar(scanout) => extent = self.planar_extent(scanout, y, since),
                Picture::Text(frame) | Picture::Raster(frame) => {
                    let line = self.registers.line(y, frame.dots);
                    let this = Line {
                        row_scan: 0,
                        ..line
                    };
                    let this = Some((this, self.registers.cell(line, 0)));
                    if this != walk {
                        walk = this;
                        extent = self.frame_extent(*frame, line, since);
                    }
                }
            }
            bands.line(y, extent.clone());
        }
        bands.close();
    }

    /// Takes over what was written to memory past the chip.
    fn take_written(&mut self) {
        let mut written = false;
        let changes = &mut self.changes;
        self.memory.take_written(&mut |range| {
            written = true;
            changes.mark(range.start, range.end.saturating_sub(range.start));
        });
        self.mark_if_font(written);
    }

    /// Draws pixels of a line that are within the picture.
    fn draw(&self, picture: &Picture, palette: &[u32; 16], (x, y): (u32, u32), into: &mut [u32]) {
        match picture {
            Picture::Blank(_) => into.fill(0),
            Picture::Linear(scanout) => self.draw_linear(scanout, x, y, into),
            Picture::Planar(scanout) => self.draw_planar(scanout, palette, (x, y), into),
            Picture::Text(frame) => {
                let line = self.registers.line(y, frame.dots);
                let grid = Grid::new(*frame, line);
                grid.draw(x, into, |column| self.text_dots(palette, line, column));
            }
            Picture::Raster(frame) => {
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

impl Display for Vga {
    fn size(&self) -> Size {
        self.picture().size()
    }

    fn update(&mut self, since: Stamp, now: Instant, changed: &mut dyn FnMut(Rect)) -> Stamp {
        self.take_written();
        let picture = self.picture();
        if let Picture::Text(frame) = picture {
            self.advance_blink(frame, now);
        }
        let stamp = Stamp(self.changes.close());
        let size = picture.size();
        if self.changes.all_since(since.0) {
            changed(size.whole());
        } else {
            let mut bands = Bands {
                size,
                open: None,
                changed,
            };
            self.tell_changes(&picture, since.0, &mut bands);
        }
        stamp
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        let picture = self.picture();
        let size = picture.size();
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
                self.draw(&picture, &palette, (rect.x, y), inside);
            }
        }
    }

    fn text(&self) -> Option<TextScreen> {
        match self.picture() {
            Picture::Text(frame) => Some(self.text_screen(frame)),
            _ => None,
        }
    }
}
