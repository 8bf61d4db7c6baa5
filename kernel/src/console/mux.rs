//! Who has COM1: the guest's console or Monovisor's prompt. A state machine of bytes; no hardware.
//!
//! Ctrl-A twice switches. A single Ctrl-A is held until the next byte tells what it was: Ctrl-A again, and the front changes; anything
//! else, and both bytes go where they were typed, so a lone Ctrl-A reaches the guest together with the byte after it.
//!
//! What the guest writes while the prompt is in front is kept, the latest [`KEPT_BYTES`] of it, and shown on return.

use alloc::collections::VecDeque;
use core::fmt;

/// Ctrl-A.
const ESCAPE: u8 = 0x01;
/// Guest output kept while the prompt is in front.
pub const KEPT_BYTES: usize = 16 * 1024;

/// Which side has the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// The guest's console.
    Guest,
    /// Monovisor's prompt.
    Prompt,
}

/// What became of a typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Held until the next one.
    Held,
    /// Goes to the front.
    Byte(u8),
    /// A held Ctrl-A and this byte go to the front.
    AfterEscape(u8),
    /// The other side is in front now.
    Switched(Front),
}

/// The multiplexer.
pub struct Mux {
    front: Front,
    escape_held: bool,
    /// What we ourselves have to say; goes out before any guest output.
    own: VecDeque<u8>,
    kept: VecDeque<u8>,
    lost_bytes: u64,
    /// The last byte that went out ended a line.
    at_line_start: bool,
}

impl Default for Mux {
    fn default() -> Self {
        Self::new()
    }
}

impl Mux {
    /// The guest in front, nothing kept.
    pub fn new() -> Self {
        Self {
            front: Front::Guest,
            escape_held: false,
            own: VecDeque::new(),
            kept: VecDeque::new(),
            lost_bytes: 0,
            at_line_start: true,
        }
    }

    /// Which side is in front.
    pub fn front(&self) -> Front {
        self.front
    }

    /// Puts the prompt in front; true if it was not there already.
    pub fn bring_prompt(&mut self) -> bool {
        core::mem::replace(&mut self.front, Front::Prompt) == Front::Guest
    }

    /// Takes a byte from the keyboard.
    pub fn typed(&mut self, byte: u8) -> Typed {
        match (core::mem::take(&mut self.escape_held), byte) {
            (false, ESCAPE) => {
                self.escape_held = true;
                Typed::Held
            }
            (false, _) => Typed::Byte(byte),
            (true, ESCAPE) => {
                self.front = match self.front {
                    Front::Guest => Front::Prompt,
                    Front::Prompt => Front::Guest,
                };
                Typed::Switched(self.front)
            }
            (true, _) => Typed::AfterEscape(byte),
        }
    }

    /// How many bytes of our own wait to go out.
    pub fn own_bytes(&self) -> usize {
        self.own.len()
    }

    /// Takes what the guest writes while it is not in front.
    pub fn keep(&mut self, byte: u8) {
        if self.kept.len() == KEPT_BYTES {
            self.kept.pop_front();
            self.lost_bytes += 1;
        }
        self.kept.push_back(byte);
    }

    /// How many bytes of guest output were lost since this was last asked.
    pub fn take_lost_bytes(&mut self) -> u64 {
        core::mem::take(&mut self.lost_bytes)
    }

    /// The next byte to send: our own text, then what was kept of the guest's, then what the guest writes now.
    pub fn next_output(&mut self, guest: impl FnOnce() -> Option<u8>) -> Option<u8> {
        let byte = self.own.pop_front().or_else(|| match self.front {
            Front::Guest => self.kept.pop_front().or_else(guest),
            Front::Prompt => None,
        });
        if let Some(byte) = byte {
            self.at_line_start = byte == b'\n';
        }
        byte
    }

    /// Adds line ends so that our own text starts on a line of its own.
    pub fn start_line(&mut self) {
        let at_line_start = self
            .own
            .back()
            .map_or(self.at_line_start, |last| *last == b'\n');
        if !at_line_start {
            self.own.extend(b"\r\n");
        }
    }
}

/// Our own text; a line feed goes out as carriage return and line feed.
impl fmt::Write for Mux {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.own.push_back(b'\r');
            }
            self.own.push_back(byte);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fmt::Write, string::String, vec::Vec};

    fn output(mux: &mut Mux, guest: &[u8]) -> String {
        let mut guest = guest.iter().copied();
        let bytes: Vec<u8> = core::iter::from_fn(|| mux.next_output(|| guest.next())).collect();
        String::from_utf8(bytes).unwrap()
    }

    fn type_all(mux: &mut Mux, bytes: &[u8]) -> Vec<Typed> {
        bytes.iter().map(|byte| mux.typed(*byte)).collect()
    }

    #[test]
    fn ctrl_a_twice_switches_there_and_back() {
        let mut mux = Mux::new();
        let typed = type_all(&mut mux, b"x\x01\x01y\x01\x01");
        assert_eq!(
            typed,
            [
                Typed::Byte(b'x'),
                Typed::Held,
                Typed::Switched(Front::Prompt),
                Typed::Byte(b'y'),
                Typed::Held,
                Typed::Switched(Front::Guest),
            ]
        );
    }

    #[test]
    fn a_lone_ctrl_a_comes_with_the_next_byte() {
        let mut mux = Mux::new();
        assert_eq!(
            type_all(&mut mux, b"\x01c"),
            [Typed::Held, Typed::AfterEscape(b'c')]
        );
        assert_eq!(mux.front(), Front::Guest);
    }

    #[test]
    fn guest_output_waits_behind_the_prompt() {
        let mut mux = Mux::new();
        assert_eq!(output(&mut mux, b"boot"), "boot");
        type_all(&mut mux, b"\x01\x01");
        mux.start_line();
        mux.write_str("> ").unwrap();
        assert_eq!(output(&mut mux, b""), "\r\n> ");
        for byte in b"meanwhile" {
            mux.keep(*byte);
        }
        assert_eq!(output(&mut mux, b""), "");
        type_all(&mut mux, b"\x01\x01");
        assert_eq!(mux.take_lost_bytes(), 0);
        assert_eq!(output(&mut mux, b", now"), "meanwhile, now");
    }

    #[test]
    fn the_oldest_output_is_lost_first() {
        let mut mux = Mux::new();
        type_all(&mut mux, b"\x01\x01");
        for index in 0..KEPT_BYTES + 3 {
            mux.keep(if index < 3 { b'a' } else { b'b' });
        }
        type_all(&mut mux, b"\x01\x01");
        assert_eq!(mux.take_lost_bytes(), 3);
        assert_eq!(output(&mut mux, b""), "b".repeat(KEPT_BYTES));
        assert_eq!(mux.take_lost_bytes(), 0);
    }

    #[test]
    fn own_lines_start_at_the_left() {
        let mut mux = Mux::new();
        mux.start_line();
        mux.write_str("one\n").unwrap();
        mux.start_line();
        mux.write_str("two").unwrap();
        mux.start_line();
        assert_eq!(output(&mut mux, b""), "one\r\ntwo\r\n");
    }

    proptest! {
        /// Every typed byte but pairs of Ctrl-A arrives, in order, at the side that was in front.
        #[test]
        fn typing_is_not_lost(bytes in proptest::collection::vec(prop_oneof![Just(1u8), any::<u8>()], 0..80)) {
            let mut mux = Mux::new();
            let mut arrived = Vec::new();
            let mut switches = 0;
            let mut held = 0;
            for byte in &bytes {
                held = 0;
                match mux.typed(*byte) {
                    Typed::Held => held = 1,
                    Typed::Byte(byte) => arrived.push(byte),
                    Typed::AfterEscape(byte) => arrived.extend([1, byte]),
                    Typed::Switched(_) => switches += 1,
                }
            }
            prop_assert_eq!(arrived.len() + 2 * switches + held, bytes.len());
            let plain: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 1).collect();
            arrived.retain(|byte| *byte != 1);
            prop_assert_eq!(arrived, plain);
        }
    }
}
