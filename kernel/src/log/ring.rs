//! The ring that keeps the latest lines.
//!
//! Guarantees, to every context from thread to machine check: [`Ring::push`] never waits, never locks and never
//! allocates; a reader sees a line whole or not at all. Each slot is a seqlock made of atomics only, so a reader that races
//! with a writer reads stale words, notices by the slot's state and drops them; there is no undefined behaviour to argue about.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use super::Severity;

/// Bytes of text that a slot holds; longer lines take several slots.
pub const LINE_BYTES: usize = 232;
const LINE_WORDS: usize = LINE_BYTES / 8;

/// One line as read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// TSC when it was written.
    pub tsc: u64,
    /// How bad it is.
    pub severity: Severity,
    length: usize,
    text: [u8; LINE_BYTES],
}

impl Line {
    /// A line; text past [`LINE_BYTES`] is cut at a character's boundary.
    pub fn new(tsc: u64, severity: Severity, text: &str) -> Self {
        let length = fitting(text, LINE_BYTES);
        let mut kept = [0; LINE_BYTES];
        kept[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self {
            tsc,
            severity,
            length,
            text: kept,
        }
    }

    /// Its text, without a line end.
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.text[..self.length]).unwrap_or("(a line that is no UTF-8)")
    }
}

/// How many bytes of `text` fit into `bytes` without cutting a character.
pub(super) fn fitting(text: &str, bytes: usize) -> usize {
    let cut = bytes.min(text.len());
    (0..=cut)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0)
}

/// Why [`Ring::read`] found no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It was overwritten; the oldest that may still be there has this number.
    Lost {
        /// The number to go on with.
        oldest: u64,
    },
    /// Not written yet, or being written right now.
    NotYet,
}

/// A slot holds line `n` when `state == 2n + 2`, and is being written with it when `state == 2n + 1`.
struct Slot {
    state: AtomicU64,
    tsc: AtomicU64,
    /// Length in bytes, and the severity in the byte above.
    shape: AtomicU64,
    text: [AtomicU64; LINE_WORDS],
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            tsc: AtomicU64::new(0),
            shape: AtomicU64::new(0),
            text: [const { AtomicU64::new(0) }; LINE_WORDS],
        }
    }
}

/// The latest `SLOTS` lines, from any number of writers to any number of readers.
pub struct Ring<const SLOTS: usize> {
    next: AtomicU64,
    refused: AtomicU64,
    slots: [Slot; SLOTS],
}

impl<const SLOTS: usize> Default for Ring<SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SLOTS: usize> Ring<SLOTS> {
    /// An empty ring.
    pub const fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            slots: [const { Slot::new() }; SLOTS],
        }
    }

    /// The number that the next line will get: how many were written so far.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// How many lines were dropped because their slot's previous writer, `SLOTS` lines back, had not finished.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Adds a line.
    pub fn push(&self, line: &Line) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let slot = &self.slots[(number % SLOTS as u64) as usize];
        let before = slot.state.load(Ordering::Relaxed);
        let writing = 2 * number + 1;
        // Odd: its writer was interrupted and the ring went round in the meantime. Its line stays, ours goes.
        if before & 1 == 1
            || slot
                .state
                .compare_exchange(before, writing, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Readers must see the odd state before any word of the new line.
        fence(Ordering::Release);
        slot.tsc.store(line.tsc, Ordering::Relaxed);
        slot.shape.store(
            line.length as u64 | (line.severity as u64) << 8,
            Ordering::Relaxed,
        );
        let words = line.length.div_ceil(8);
        for (word, bytes) in slot
            .text
            .iter()
            .zip(line.text.as_chunks::<8>().0)
            .take(words)
        {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        slot.state.store(writing + 1, Ordering::SeqCst);
    }

    /// Reads line `number`.
    pub fn read(&self, number: u64) -> Result<Line, Missing> {
        let slot = &self.slots[(number % SLOTS as u64) as usize];
        let done = number.saturating_mul(2).saturating_add(2);
        let state = slot.state.load(Ordering::SeqCst);
        if state < done {
            // A line whose writer was refused never comes; do not wait for it once the ring has gone past it.
            return Err(if self.next() > number.saturating_add(SLOTS as u64) {
                self.lost(number)
            } else {
                Missing::NotYet
            });
        }
        if state > done {
            return Err(self.lost(number));
        }
        let shape = slot.shape.load(Ordering::Relaxed);
        let length = ((shape & 0xff) as usize).min(LINE_BYTES);
        let mut line = Line {
            tsc: slot.tsc.load(Ordering::Relaxed),
            severity: Severity::from_bits((shape >> 8) as u8),
            length,
            text: [0; LINE_BYTES],
        };
        for (word, bytes) in slot
            .text
            .iter()
            .zip(line.text.as_chunks_mut::<8>().0)
            .take(length.div_ceil(8))
        {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        fence(Ordering::Acquire);
        if slot.state.load(Ordering::Relaxed) != done {
            Err(self.lost(number))
        } else {
            Ok(line)
        }
    }

    fn lost(&self, number: u64) -> Missing {
        Missing::Lost {
            oldest: self.next().saturating_sub(SLOTS as u64).max(number + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::String, thread};

    fn line(text: &str) -> Line {
        Line::new(7, Severity::Warning, text)
    }

    #[test]
    fn a_line_comes_back_whole() {
        let ring = Ring::<4>::new();
        assert_eq!(ring.read(0), Err(Missing::NotYet));
        ring.push(&line("host: 2 CPUs"));
        assert_eq!(ring.read(0), Ok(line("host: 2 CPUs")));
        assert_eq!(ring.read(1), Err(Missing::NotYet));
    }

    #[test]
    fn old_lines_are_lost_and_said_to_be() {
        let ring = Ring::<4>::new();
        for number in 0..6 {
            ring.push(&line(&std::format!("{number}")));
        }
        assert_eq!(ring.read(0), Err(Missing::Lost { oldest: 2 }));
        assert_eq!(ring.read(2), Ok(line("2")));
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        let text = "ä".repeat(LINE_BYTES);
        assert_eq!(line(&text).text(), "ä".repeat(LINE_BYTES / 2));
    }

    #[test]
    fn racing_writers_never_tear_a_line() {
        static RING: Ring<8> = Ring::new();
        let writers = [b'a', b'b', b'c'].map(|letter| {
            thread::spawn(move || {
                for count in 0..2000 {
                    let text = String::from_utf8(std::vec![letter; count % LINE_BYTES]).unwrap();
                    RING.push(&line(&text));
                }
            })
        });
        let mut number = 0;
        let mut seen = 0;
        while number < 6000 {
            match RING.read(number) {
                Ok(line) => {
                    assert!(
                        line.text()
                            .bytes()
                            .all(|byte| byte == line.text().as_bytes()[0])
                    );
                    seen += 1;
                    number += 1;
                }
                Err(Missing::Lost { oldest }) => number = oldest,
                // The last lines may have been refused.
                Err(Missing::NotYet) if writers.iter().all(|writer| writer.is_finished()) => {
                    number += 1
                }
                Err(Missing::NotYet) => thread::yield_now(),
            }
        }
        assert!(seen > 0);
        for writer in writers {
            writer.join().unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(texts in proptest::collection::vec(".{0,80}", 1..12)) {
            let ring = Ring::<16>::new();
            for text in &texts {
                ring.push(&line(text));
            }
            for (number, text) in texts.iter().enumerate() {
                let read = ring.read(number as u64).unwrap();
                prop_assert!(text.starts_with(read.text()));
                prop_assert!(text.len() <= LINE_BYTES || read.text().len() > LINE_BYTES - 4);
                prop_assert!(text.len() > LINE_BYTES || read.text() == text);
            }
        }
    }
}
