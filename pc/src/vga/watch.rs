//! The chip as its viewers see it: what changed, and when.

use super::Vga;
use super::dispi::Scanout;
use super::mode::{Frame, Mode};
use super::raster::Grid;
use super::scan::Line;
use super::text::BLINK;
use alloc::boxed::Box;
use core::ops::Range;
use hvm::Instant;
use hvm::display::{Display, Picture, Rect, Size, Stamp, TextScreen};

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
            let offset = self.screen.registers.cell(line, *column);
            self.changes.any_since(offset..offset + 4, since)
        };
        // Panning brings a part of one more cell into view.
        let mut columns = 0..frame.columns + 1;
        let first = columns.find(changed)?;
        let last = columns.rfind(changed).unwrap_or(first);
        Some(Grid::new(frame, line).pixels(first, last))
    }

    /// Tells the changes after `since` line by line.
    fn tell_changes(&self, mode: &Mode, since: u64, bands: &mut Bands<'_>) {
        let mut extent = None;
        // Most lines show the same memory as the one before: in text modes, and where lines are shown twice.
        let mut walk = None;
        for y in 0..bands.size.height {
            match mode {
                Mode::Blank(_) => {}
                Mode::Linear(scanout) => extent = self.linear_extent(scanout, y, since),
                Mode::Planar(scanout) => extent = self.planar_extent(scanout, y, since),
                Mode::Text(frame) | Mode::Raster(frame) => {
                    let line = self.screen.registers.line(y, frame.dots);
                    let this = Line {
                        row_scan: 0,
                        ..line
                    };
                    let this = Some((this, self.screen.registers.cell(line, 0)));
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

    /// The pixels of a line that changed after `since`.
    pub(super) fn linear_extent(
        &self,
        scanout: &Scanout,
        y: u32,
        since: u64,
    ) -> Option<Range<u32>> {
        let line = scanout.line_bytes(y);
        let changed = self.changes.extent_since(line.clone(), since)?;
        let bytes = scanout.pixel_bytes();
        Some((changed.start - line.start) / bytes..(changed.end - line.start).div_ceil(bytes))
    }

    /// The same with four bits a pixel.
    pub(super) fn planar_extent(
        &self,
        scanout: &Scanout,
        y: u32,
        since: u64,
    ) -> Option<Range<u32>> {
        let (first, grid) = scanout.planar_line(y);
        let cells = (grid.panning + scanout.size.width).div_ceil(8);
        let start = first.saturating_mul(4);
        let changed = self
            .changes
            .extent_since(start..start.saturating_add(4 * cells), since)?;
        let last = (changed.end - start).div_ceil(4).saturating_sub(1);
        Some(grid.pixels((changed.start - start) / 4, last))
    }

    /// Takes over what was written to memory past the chip.
    fn take_written(&mut self) {
        let mut written = false;
        let changes = &mut self.changes;
        self.screen.memory.take_written(&mut |range| {
            written = true;
            changes.mark(range.start, range.end.saturating_sub(range.start));
        });
        self.mark_if_font(written);
    }

    /// Brings blinking to its state `now` and marks what it changes.
    fn advance_blink(&mut self, frame: Frame, now: Instant) {
        let registers = &self.screen.registers;
        let blink = registers.timing().blink(now);
        let blinks = registers.attribute.blinks();
        let before = core::mem::replace(&mut self.screen.blink, blink);
        if blink.cursor_hidden != before.cursor_hidden {
            self.changes.mark(self.screen.cursor_offset(), 1);
        }
        if blink.text_hidden != before.text_hidden && blinks {
            self.mark_blinking(frame);
        }
    }

    fn mark_blinking(&mut self, frame: Frame) {
        let (lines, rows) = self.screen.rows(frame);
        for row in 0..rows {
            let line = self.screen.registers.line(row * lines, frame.dots);
            for column in 0..frame.columns {
                let offset = self.screen.registers.cell(line, column);
                if self.screen.text_cell(offset).attribute & BLINK != 0 {
                    self.changes.mark(offset, 1);
                }
            }
        }
    }
}

impl Picture for Vga {
    fn size(&self) -> Size {
        self.screen.size()
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        self.screen.render(rect, into);
    }

    fn text(&self) -> Option<TextScreen> {
        self.screen.text()
    }
}

impl Display for Vga {
    fn update(&mut self, since: Stamp, now: Instant, changed: &mut dyn FnMut(Rect)) -> Stamp {
        self.take_written();
        let mode = self.screen.registers.mode();
        if let Mode::Text(frame) = mode {
            self.advance_blink(frame, now);
        }
        let stamp = Stamp(self.changes.close());
        let size = mode.size();
        if self.changes.all_since(since.0) {
            changed(size.whole());
        } else {
            let mut bands = Bands {
                size,
                open: None,
                changed,
            };
            self.tell_changes(&mode, since.0, &mut bands);
        }
        stamp
    }

    fn capture(&self) -> Box<dyn Picture> {
        Box::new(self.screen.clone())
    }
}
