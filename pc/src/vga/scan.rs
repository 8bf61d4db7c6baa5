//! How the CRT controller walks through memory, line by line and character by character.

use super::Registers;

/// What the counters hold at the start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The address counter.
    pub(super) counter: u16,
    /// The line within its row.
    pub(super) row_scan: u32,
    /// Dots that the line is moved to the left.
    pub(super) panning: u32,
}

impl Registers {
    /// Line `y` of a frame whose characters have so many dots.
    pub(super) fn line(&self, y: u32, dots: u32) -> Line {
        let crtc = &self.crtc;
        let count = y / crtc.lines_per_count();
        let panning = self.attribute.panning(dots);
        // Past the line compare the counters start anew, from address 0.
        let (start, lines, panning) = match count.checked_sub(crtc.line_compare() + 1) {
            None => {
                let lines = count / crtc.repeats() + crtc.preset_row_scan();
                (crtc.start(), lines, panning)
            }
            Some(count) => {
                let ends = self.attribute.panning_ends();
                (0, count / crtc.repeats(), if ends { 0 } else { panning })
            }
        };
        let row = (lines / crtc.row_lines()) as u16;
        Line {
            counter: start.wrapping_add(crtc.row_step().wrapping_mul(row)),
            row_scan: lines % crtc.row_lines(),
            panning,
        }
    }

    /// The address counter at a character of a line.
    #[inline]
    pub(super) fn counter(&self, line: Line, column: u32) -> u16 {
        let steps = column >> self.crtc.count_shift();
        line.counter.wrapping_add(steps as u16)
    }

    /// Where in memory the four bytes of a character clock are.
    #[inline]
    pub(super) fn cell(&self, line: Line, column: u32) -> u32 {
        let counter = self.counter(line, column);
        4 * u32::from(self.crtc.address(counter, line.row_scan))
    }
}
