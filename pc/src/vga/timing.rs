//! Where the beam is: the frame that the registers describe, run through by the time that is passed in.
//!
//! A guest that polls input status 1 for a retrace sees one in every frame, whatever it wrote into the registers.

use super::bits::misc;
use super::crtc::Crtc;
use super::sequencer::Sequencer;
use hvm::Instant;

/// Dot clocks in Hz.
const CLOCK_25_HZ: u64 = 25_175_000;
const CLOCK_28_HZ: u64 = 28_322_000;
const NS_PER_SECOND: u64 = 1_000_000_000;
/// Frames from one change of the cursor to the next; the text blinks at half that rate.
const FRAMES_PER_PHASE: u64 = 8;

/// Where the beam is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beam {
    /// In the picture.
    Visible,
    /// Left, right, above or below.
    Blank,
    /// On its way to the top.
    VerticalRetrace,
}

/// What blinks is either shown or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blink {
    pub(super) cursor_hidden: bool,
    pub(super) text_hidden: bool,
}

/// A frame.
pub(super) struct Timing {
    line_ns: u64,
    /// Of that, the visible part.
    visible_ns: u64,
    total_lines: u64,
    visible_lines: u64,
    retrace_start: u64,
    retrace_end: u64,
}

impl Timing {
    pub(super) fn new(miscellaneous: u8, sequencer: &Sequencer, crtc: &Crtc) -> Self {
        let clock_hz = if miscellaneous & misc::CLOCK_28_MHZ != 0 {
            CLOCK_28_HZ
        } else {
            CLOCK_25_HZ
        };
        let clocks = u64::from(sequencer.character_dots() * sequencer.dot_clocks());
        let ns = |characters: u32| u64::from(characters) * clocks * NS_PER_SECOND / clock_hz;
        let line_ns = ns(crtc.total_columns());
        let total_lines = u64::from(crtc.total_lines());
        // A retrace that never starts, or starts a frame, is none that a monitor could show: the last line then.
        let retrace_start = match u64::from(crtc.retrace_start()) {
            start if (1..total_lines).contains(&start) => start,
            _ => total_lines - 1,
        };
        // The end register holds the low bits of the line.
        let lines = u64::from(crtc.retrace_end()).wrapping_sub(retrace_start) & 0xf;
        let lines = if lines == 0 { 16 } else { lines };
        Self {
            line_ns,
            visible_ns: ns(crtc.columns()).min(line_ns),
            total_lines,
            visible_lines: u64::from(crtc.lines()).min(retrace_start),
            retrace_start,
            retrace_end: (retrace_start + lines).min(total_lines),
        }
    }

    fn frame_ns(&self) -> u64 {
        (self.line_ns * self.total_lines).max(1)
    }

    pub(super) fn beam(&self, now: Instant) -> Beam {
        let in_frame = now.ns % self.frame_ns();
        let line = in_frame / self.line_ns.max(1);
        let in_line = in_frame % self.line_ns.max(1);
        if (self.retrace_start..self.retrace_end).contains(&line) {
            Beam::VerticalRetrace
        } else if line < self.visible_lines && in_line < self.visible_ns {
            Beam::Visible
        } else {
            Beam::Blank
        }
    }

    pub(super) fn blink(&self, now: Instant) -> Blink {
        let phase = now.ns / self.frame_ns() / FRAMES_PER_PHASE;
        Blink {
            cursor_hidden: phase & 1 != 0,
            text_hidden: phase & 2 != 0,
        }
    }
}
