//! The two streams of the log (design, section 9).
//!
//! - **Lines for people**: [`info!`](crate::info), [`warn!`](crate::warn), [`error!`](crate::error). They work from the first
//!   instruction on, on any CPU and in any context, NMI and #MC included: writing one never waits for a lock. Lines are kept in a [`ring`]
//!   and printed by whoever holds the [`outlets`]; a context that finds them taken leaves its line to the holder.
//! - **Frames for developers**: `defmt`'s macros, into the rings of [`frames`], drained to COM2.
//!
//! [`level`] says which context a CPU is in; interrupt and exception handlers must enter theirs.

pub mod frames;
pub mod level;
mod line;
mod outlets;
pub mod ring;

pub use crate::{error, info, warn};
pub use level::Level;
pub use outlets::{
    attach_screen, attach_serial, detach_serial, flush, flush_in_emergency, on_new_lines,
    printed_up_to, with_screen,
};
pub use ring::Line;

use core::fmt;
use ring::{Missing, Ring};

/// How bad a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Severity {
    /// Progress.
    Info = 0,
    /// Something is not as it should be; work goes on.
    Warning = 1,
    /// Something that was asked for will not happen.
    Error = 2,
}

impl Severity {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Info,
            1 => Self::Warning,
            _ => Self::Error,
        }
    }

    /// What the line starts with on a console.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Info => "",
            Self::Warning => "warning: ",
            Self::Error => "error: ",
        }
    }
}

/// Lines kept for `dmesg`.
pub const LINES_KEPT: usize = 256;

static RING: Ring<LINES_KEPT> = Ring::new();

/// Says something to people: one line of progress on every console.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::log::print($crate::log::Severity::Info, format_args!($($text)*)) };
}

/// Says that something is not as it should be, though work goes on.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => { $crate::log::print($crate::log::Severity::Warning, format_args!($($text)*)) };
}

/// Says what failed: what was tried, what was found, what to do.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::log::print($crate::log::Severity::Error, format_args!($($text)*)) };
}

/// What the macros call. A text with line ends becomes several lines; so does one longer than [`ring::LINE_BYTES`].
pub fn print(severity: Severity, text: fmt::Arguments<'_>) {
    line::write(&RING, stamp(), severity, text);
    flush();
}

/// How many lines were dropped as they were written (see [`Ring::refused`]).
pub fn lost_lines() -> u64 {
    RING.refused()
}

/// Reads the kept lines in order, from the oldest one.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    next: u64,
}

impl Reader {
    /// A reader of every line that is kept.
    pub const fn from_oldest() -> Self {
        Self { next: 0 }
    }

    /// A reader of the lines from the one with this number on.
    pub const fn from(next: u64) -> Self {
        Self { next }
    }

    /// The number of the line that comes next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next line, passing over those that are being written: for a machine in which nothing else will be finished.
    fn next_complete_line(&mut self) -> Option<Line> {
        while self.next < RING.next() {
            match self.next_line() {
                Some(line) => return Some(line),
                None => self.next += 1,
            }
        }
        None
    }

    /// The next line, unless none is complete. Lines overwritten in the meantime are skipped.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            match RING.read(self.next) {
                Ok(line) => {
                    self.next += 1;
                    return Some(line);
                }
                Err(Missing::Lost { oldest }) => self.next = oldest,
                Err(Missing::NotYet) => return None,
            }
        }
    }
}

/// The time stamp of a line: the TSC.
fn stamp() -> u64 {
    crate::time::tsc()
}

/// The index of the CPU that runs this.
#[cfg(target_os = "none")]
fn cpu() -> usize {
    crate::cpu::index()
}

/// The index of the CPU that runs this; tests have no per-CPU data.
#[cfg(not(target_os = "none"))]
fn cpu() -> usize {
    0
}
