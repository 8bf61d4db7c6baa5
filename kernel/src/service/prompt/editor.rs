//! A line editor for a serial terminal: printable ASCII, backspace, Ctrl-U, Ctrl-C. Escape sequences are swallowed.

use core::fmt::{self, Write};
use heapless::String;

/// The longest line.
pub const LINE_BYTES: usize = 120;

const CTRL_C: u8 = 0x03;
const BELL: u8 = 0x07;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const ESC: u8 = 0x1b;
const DELETE: u8 = 0x7f;

/// A finished line.
pub type Line = String<LINE_BYTES>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Text,
    /// A carriage return ended a line; a line feed now belongs to it.
    AfterReturn,
    /// ESC came.
    Escape,
    /// ESC [ came; ends with a byte from 40h to 7Eh (ECMA-48, 5.4).
    Sequence,
}

/// The editor.
pub struct Editor {
    line: Line,
    mode: Mode,
}

impl Default for Editor {
    fn default() -> Self {
        Self {
            line: Line::new(),
            mode: Mode::Text,
        }
    }
}

impl Editor {
    /// What was typed so far, to draw it anew.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Forgets what was typed.
    pub fn clear(&mut self) {
        self.line.clear();
    }

    /// Takes a typed byte, echoes it, and returns the line when it is finished.
    pub fn typed(&mut self, byte: u8, echo: &mut impl Write) -> Result<Option<Line>, fmt::Error> {
        match (self.mode, byte) {
            (Mode::Escape, b'[') => self.mode = Mode::Sequence,
            (Mode::Sequence, 0x20..=0x3f) => {}
            (Mode::Escape | Mode::Sequence, _) => self.mode = Mode::Text,
            (Mode::AfterReturn, b'\n') => self.mode = Mode::Text,
            (Mode::Text | Mode::AfterReturn, _) => {
                self.mode = Mode::Text;
                return self.edit(byte, echo);
            }
        }
        Ok(None)
    }

    fn edit(&mut self, byte: u8, echo: &mut impl Write) -> Result<Option<Line>, fmt::Error> {
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    self.mode = Mode::AfterReturn;
                }
                echo.write_char('\n')?;
                return Ok(Some(core::mem::take(&mut self.line)));
            }
            CTRL_C => {
                self.line.clear();
                echo.write_str("^C\n")?;
                return Ok(Some(Line::new()));
            }
            BACKSPACE | DELETE => self.erase(1, echo)?,
            CTRL_U => self.erase(LINE_BYTES, echo)?,
            ESC => self.mode = Mode::Escape,
            0x20..=0x7e => {
                let fits = self.line.push(char::from(byte)).is_ok();
                echo.write_char(char::from(if fits { byte } else { BELL }))?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Takes back the last `characters` characters, or all if there are fewer.
    fn erase(&mut self, characters: usize, echo: &mut impl Write) -> fmt::Result {
        for _ in 0..characters.min(self.line.len()) {
            self.line.pop();
            echo.write_str("\x08 \x08")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::String as Text, vec::Vec};

    fn feed(editor: &mut Editor, bytes: &[u8]) -> (Vec<Line>, Text) {
        let mut echo = Text::new();
        let lines = bytes
            .iter()
            .filter_map(|byte| editor.typed(*byte, &mut echo).unwrap())
            .collect();
        (lines, echo)
    }

    fn lines(bytes: &[u8]) -> Vec<Line> {
        feed(&mut Editor::default(), bytes).0
    }

    #[test]
    fn every_line_end_ends_one_line() {
        assert_eq!(
            lines(b"info\rhelp\nreset\r\npause\r\r"),
            ["info", "help", "reset", "pause", ""]
        );
    }

    #[test]
    fn mistakes_can_be_taken_back() {
        assert_eq!(lines(b"resst\x08\x7fet\r"), ["reset"]);
        assert_eq!(lines(b"poweroff\x15info\r"), ["info"]);
        assert_eq!(lines(b"poweroff\x03info\r"), ["", "info"]);
        assert_eq!(lines(b"\x08\x08x\r"), ["x"]);
    }

    #[test]
    fn arrow_keys_leave_no_trace() {
        assert_eq!(lines(b"in\x1b[A\x1b[1;5Cfo\x1bO\r"), ["info"]);
    }

    #[test]
    fn a_line_that_is_too_long_rings() {
        let mut editor = Editor::default();
        let (_, echo) = feed(&mut editor, &[b'x'; LINE_BYTES + 2]);
        assert!(echo.ends_with("x\x07\x07"));
        assert_eq!(
            feed(&mut editor, b"\r").0,
            ["x".repeat(LINE_BYTES).as_str()]
        );
    }

    proptest! {
        /// The echo leaves on the terminal exactly the line that is being edited.
        #[test]
        fn the_terminal_shows_the_line(bytes: Vec<u8>) {
            let mut editor = Editor::default();
            let (_, echo) = feed(&mut editor, &bytes);
            let mut shown = Text::new();
            let mut column = 0;
            for character in echo.chars() {
                match character {
                    '\n' => { shown.clear(); column = 0; }
                    '\x08' => column -= 1,
                    '\x07' => {}
                    _ => { shown.truncate(column); shown.push(character); column += 1; }
                }
            }
            shown.truncate(column);
            prop_assert_eq!(shown, editor.line());
        }
    }
}
