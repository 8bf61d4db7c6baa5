//! Scan codes as keys: the way back, for whoever has a PS/2 keyboard of his own in front of him (the host's).

use super::scancode::{self, Set};
use hvm::input::{Action, Key, KeyEvent};

const EXTENDED: u8 = 0xe0;
const PAUSE: u8 = 0xe1;
const RELEASED: u8 = 1 << 7;

/// What went before the byte that comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Prefix {
    #[default]
    None,
    Extended,
    Pause,
}

/// Reads set 1, which is what a PC's keyboard controller gives as firmware leaves it (translation on).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    prefix: Prefix,
}

impl Decoder {
    /// A decoder between two keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a byte; the event that it completes. False shifts around grey keys and codes that no key has make none.
    pub fn byte(&mut self, byte: u8) -> Option<KeyEvent> {
        let code = byte & !RELEASED;
        let prefix = core::mem::take(&mut self.prefix);
        let key = match (prefix, byte) {
            (_, EXTENDED) => {
                self.prefix = Prefix::Extended;
                return None;
            }
            (_, PAUSE) => {
                self.prefix = Prefix::Pause;
                return None;
            }
            // Pause looks like an old keyboard's Control with Num Lock.
            (Prefix::Pause, 0x1d | 0x9d) => {
                self.prefix = Prefix::Pause;
                return None;
            }
            (Prefix::Pause, 0x45 | 0xc5) => Key::Pause,
            (Prefix::Pause, _) => return None,
            // Print Screen with Alt.
            (Prefix::None, 0x54 | 0xd4) => Key::PrintScreen,
            (Prefix::None, _) => find(scancode::Code::is_plain, code)?,
            (Prefix::Extended, _) => find(scancode::Code::is_extended, code)?,
        };
        let action = if byte & RELEASED == 0 {
            Action::Press
        } else {
            Action::Release
        };
        Some(KeyEvent { key, action })
    }
}

/// The key of that kind whose set-1 code this is.
fn find(is_kind: impl Fn(scancode::Code) -> bool, code: u8) -> Option<Key> {
    Key::ALL.iter().copied().find(|&key| {
        let (two, _) = scancode::codes(key);
        let sequence = two.sequence(Set::One, Action::Press);
        is_kind(two) && sequence.last() == Some(&code)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ps2::Keyboard;
    use alloc::vec::Vec;
    use hvm::Instant;

    #[test]
    fn what_our_keyboard_sends_is_read_back() {
        for &key in Key::ALL {
            let mut keyboard = Keyboard::new();
            for byte in [0xf0, 1] {
                keyboard.receive(byte);
                assert_eq!(keyboard.next_byte(), Some(0xfa));
            }
            let mut decoder = Decoder::new();
            let strokes = [Action::Press, Action::Release].map(|action| KeyEvent { key, action });
            let mut seen = Vec::new();
            for event in strokes {
                keyboard.key(event, Instant::ZERO);
                while let Some(byte) = keyboard.next_byte() {
                    seen.extend(decoder.byte(byte));
                }
            }
            if key == Key::NonUsHash {
                // It sits where the US keyboard has the backslash.
                assert!(seen.iter().all(|event| event.key == Key::Backslash));
            } else {
                assert_eq!(seen, strokes, "{key:?}");
            }
        }
    }

    #[test]
    fn nonsense_is_no_key() {
        let mut decoder = Decoder::new();
        for bytes in [[0xe0, 0x2a], [0xe1, 0x00], [0x00, 0xff], [0xe0, 0xe0]] {
            for byte in bytes {
                assert_eq!(decoder.byte(byte), None);
            }
        }
        assert_eq!(
            decoder.byte(0x48).map(|event| event.key),
            Some(Key::Up),
            "the prefix before it holds"
        );
    }
}
