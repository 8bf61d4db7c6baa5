//! Cuts formatted text into lines. Everything lies on the writer's stack: half a KiB.

use core::fmt::{self, Write};

use super::{
    Severity,
    ring::{LINE_BYTES, Line, Ring, fitting},
};

struct Cutter<'a, const SLOTS: usize> {
    ring: &'a Ring<SLOTS>,
    tsc: u64,
    severity: Severity,
    length: usize,
    text: [u8; LINE_BYTES],
}

impl<const SLOTS: usize> Cutter<'_, SLOTS> {
    fn finish_line(&mut self) {
        let text = core::str::from_utf8(&self.text[..self.length]).unwrap_or_default();
        self.ring.push(&Line::new(self.tsc, self.severity, text));
        self.length = 0;
    }
}

impl<const SLOTS: usize> Write for Cutter<'_, SLOTS> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, piece) in text.split('\n').enumerate() {
            if index > 0 {
                self.finish_line();
            }
            let mut rest = piece;
            while !rest.is_empty() {
                let fits = fitting(rest, LINE_BYTES - self.length);
                let (now, later) = rest.split_at(fits);
                self.text[self.length..self.length + fits].copy_from_slice(now.as_bytes());
                self.length += fits;
                rest = later;
                if !rest.is_empty() {
                    self.finish_line();
                }
            }
        }
        Ok(())
    }
}

/// Formats `text` into `ring`.
pub fn write<const SLOTS: usize>(
    ring: &Ring<SLOTS>,
    tsc: u64,
    severity: Severity,
    text: fmt::Arguments<'_>,
) {
    let mut cutter = Cutter {
        ring,
        tsc,
        severity,
        length: 0,
        text: [0; LINE_BYTES],
    };
    // A `Display` that fails has written what it could; the line still comes out.
    let _ = cutter.write_fmt(text);
    cutter.finish_line();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    fn lines(text: &str) -> Vec<String> {
        let ring = Ring::<32>::new();
        write(&ring, 0, Severity::Info, format_args!("{text}"));
        (0..ring.next())
            .map(|number| String::from(ring.read(number).unwrap().text()))
            .collect()
    }

    #[test]
    fn line_ends_cut() {
        assert_eq!(lines("one\ntwo"), ["one", "two"]);
        assert_eq!(lines(""), [""]);
    }

    #[test]
    fn long_lines_are_wrapped_without_loss() {
        let text = "0123456789".repeat(50);
        let cut = lines(&text);
        assert_eq!(cut.len(), text.len().div_ceil(LINE_BYTES));
        assert_eq!(cut.concat(), text);
    }

    #[test]
    fn a_wide_character_at_the_edge_moves_on() {
        let text = "x".repeat(LINE_BYTES - 1) + "äx";
        assert_eq!(lines(&text), ["x".repeat(LINE_BYTES - 1).as_str(), "äx"]);
    }
}
