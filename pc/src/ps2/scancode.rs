//! Keys as scan codes (IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-key)", scan-code tables; for keys
//! that IBM had not, Microsoft's Keyboard Scan Code Specification 1.3a, appendix C).

use crate::kbc::translate;
use heapless::Vec;
use hvm::input::{Action, Key};
use serde::{Deserialize, Serialize};

/// The longest sequence that one key makes: Pause, or a grey key between two shifts.
pub(super) const SEQUENCE_BYTES: usize = 8;
/// A sequence.
pub(super) type Sequence = Vec<u8, SEQUENCE_BYTES>;

/// Prefix of keys that the 83-key keyboard had not, in sets 1 and 2.
const EXTENDED: u8 = 0xe0;
/// Prefix of a release in sets 2 and 3.
const BREAK: u8 = 0xf0;
/// Bit of a release in set 1.
const RELEASED: u8 = 1 << 7;

/// The three sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Set {
    /// The PC/XT's.
    One,
    /// The AT's, from which the controller translates.
    Two,
    /// One code a key, no prefixes.
    Three,
}

/// How a key behaves in set 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyMode {
    /// Repeats, and its release is told.
    TypematicMakeBreak,
    /// Repeats, its release is not told.
    Typematic,
    /// No repeat, and its release is told.
    MakeBreak,
    /// Only its press is told.
    Make,
}

/// A code of set 2, and with it the one of set 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Alone.
    Plain(u8),
    /// Behind E0h.
    Extended(u8),
}

impl Code {
    pub(super) fn is_plain(self) -> bool {
        matches!(self, Self::Plain(_))
    }

    pub(super) fn is_extended(self) -> bool {
        !self.is_plain()
    }

    /// The bytes that tell of the key in set 1 or 2.
    pub(super) fn sequence(self, set: Set, action: Action) -> Sequence {
        let mut bytes = Sequence::new();
        let code = match self {
            Self::Plain(code) => code,
            Self::Extended(code) => {
                append(&mut bytes, &[EXTENDED]);
                code
            }
        };
        match (set, action) {
            (Set::One, Action::Press) => append(&mut bytes, &[translate::code(code)]),
            (Set::One, Action::Release) => append(&mut bytes, &[translate::code(code) | RELEASED]),
            (_, Action::Press) => append(&mut bytes, &[code]),
            (_, Action::Release) => append(&mut bytes, &[BREAK, code]),
        }
        bytes
    }
}

/// Appends what fits; sequences are built never to be longer than [`SEQUENCE_BYTES`].
pub(super) fn append(sequence: &mut Sequence, bytes: &[u8]) {
    for &byte in bytes {
        // Full: cannot be, see the test of all keys.
        let _ = sequence.push(byte);
    }
}

/// The bytes of set 3.
pub(super) fn set_3(code: u8, action: Action) -> Sequence {
    let mut bytes = Sequence::new();
    match action {
        Action::Press => append(&mut bytes, &[code]),
        Action::Release => append(&mut bytes, &[BREAK, code]),
    }
    bytes
}

/// A key's codes in sets 2 and 3; set 3 has none for keys younger than it.
pub(super) fn codes(key: Key) -> (Code, Option<u8>) {
    use Code::{Extended, Plain};
    let (two, three) = match key {
        Key::A => (Plain(0x1c), 0x1c),
        Key::B => (Plain(0x32), 0x32),
        Key::C => (Plain(0x21), 0x21),
        Key::D => (Plain(0x23), 0x23),
        Key::E => (Plain(0x24), 0x24),
        Key::F => (Plain(0x2b), 0x2b),
        Key::G => (Plain(0x34), 0x34),
        Key::H => (Plain(0x33), 0x33),
        Key::I => (Plain(0x43), 0x43),
        Key::J => (Plain(0x3b), 0x3b),
        Key::K => (Plain(0x42), 0x42),
        Key::L => (Plain(0x4b), 0x4b),
        Key::M => (Plain(0x3a), 0x3a),
        Key::N => (Plain(0x31), 0x31),
        Key::O => (Plain(0x44), 0x44),
        Key::P => (Plain(0x4d), 0x4d),
        Key::Q => (Plain(0x15), 0x15),
        Key::R => (Plain(0x2d), 0x2d),
        Key::S => (Plain(0x1b), 0x1b),
        Key::T => (Plain(0x2c), 0x2c),
        Key::U => (Plain(0x3c), 0x3c),
        Key::V => (Plain(0x2a), 0x2a),
        Key::W => (Plain(0x1d), 0x1d),
        Key::X => (Plain(0x22), 0x22),
        Key::Y => (Plain(0x35), 0x35),
        Key::Z => (Plain(0x1a), 0x1a),
        Key::Digit1 => (Plain(0x16), 0x16),
        Key::Digit2 => (Plain(0x1e), 0x1e),
        Key::Digit3 => (Plain(0x26), 0x26),
        Key::Digit4 => (Plain(0x25), 0x25),
        Key::Digit5 => (Plain(0x2e), 0x2e),
        Key::Digit6 => (Plain(0x36), 0x36),
        Key::Digit7 => (Plain(0x3d), 0x3d),
        Key::Digit8 => (Plain(0x3e), 0x3e),
        Key::Digit9 => (Plain(0x46), 0x46),
        Key::Digit0 => (Plain(0x45), 0x45),
        Key::Enter => (Plain(0x5a), 0x5a),
        Key::Escape => (Plain(0x76), 0x08),
        Key::Backspace => (Plain(0x66), 0x66),
        Key::Tab => (Plain(0x0d), 0x0d),
        Key::Space => (Plain(0x29), 0x29),
        Key::Minus => (Plain(0x4e), 0x4e),
        Key::Equal => (Plain(0x55), 0x55),
        Key::LeftBracket => (Plain(0x54), 0x54),
        Key::RightBracket => (Plain(0x5b), 0x5b),
        Key::Backslash => (Plain(0x5d), 0x5c),
        Key::NonUsHash => (Plain(0x5d), 0x53),
        Key::Semicolon => (Plain(0x4c), 0x4c),
        Key::Apostrophe => (Plain(0x52), 0x52),
        Key::Grave => (Plain(0x0e), 0x0e),
        Key::Comma => (Plain(0x41), 0x41),
        Key::Period => (Plain(0x49), 0x49),
        Key::Slash => (Plain(0x4a), 0x4a),
        Key::CapsLock => (Plain(0x58), 0x14),
        Key::F1 => (Plain(0x05), 0x07),
        Key::F2 => (Plain(0x06), 0x0f),
        Key::F3 => (Plain(0x04), 0x17),
        Key::F4 => (Plain(0x0c), 0x1f),
        Key::F5 => (Plain(0x03), 0x27),
        Key::F6 => (Plain(0x0b), 0x2f),
        Key::F7 => (Plain(0x83), 0x37),
        Key::F8 => (Plain(0x0a), 0x3f),
        Key::F9 => (Plain(0x01), 0x47),
        Key::F10 => (Plain(0x09), 0x4f),
        Key::F11 => (Plain(0x78), 0x56),
        Key::F12 => (Plain(0x07), 0x5e),
        Key::PrintScreen => (Extended(0x7c), 0x57),
        Key::ScrollLock => (Plain(0x7e), 0x5f),
        Key::Pause => (Extended(0x7e), 0x62),
        Key::Insert => (Extended(0x70), 0x67),
        Key::Home => (Extended(0x6c), 0x6e),
        Key::PageUp => (Extended(0x7d), 0x6f),
        Key::Delete => (Extended(0x71), 0x64),
        Key::End => (Extended(0x69), 0x65),
        Key::PageDown => (Extended(0x7a), 0x6d),
        Key::Right => (Extended(0x74), 0x6a),
        Key::Left => (Extended(0x6b), 0x61),
        Key::Down => (Extended(0x72), 0x60),
        Key::Up => (Extended(0x75), 0x63),
        Key::NumLock => (Plain(0x77), 0x76),
        Key::KeypadDivide => (Extended(0x4a), 0x77),
        Key::KeypadMultiply => (Plain(0x7c), 0x7e),
        Key::KeypadSubtract => (Plain(0x7b), 0x84),
        Key::KeypadAdd => (Plain(0x79), 0x7c),
        Key::KeypadEnter => (Extended(0x5a), 0x79),
        Key::Keypad1 => (Plain(0x69), 0x69),
        Key::Keypad2 => (Plain(0x72), 0x72),
        Key::Keypad3 => (Plain(0x7a), 0x7a),
        Key::Keypad4 => (Plain(0x6b), 0x6b),
        Key::Keypad5 => (Plain(0x73), 0x73),
        Key::Keypad6 => (Plain(0x74), 0x74),
        Key::Keypad7 => (Plain(0x6c), 0x6c),
        Key::Keypad8 => (Plain(0x75), 0x75),
        Key::Keypad9 => (Plain(0x7d), 0x7d),
        Key::Keypad0 => (Plain(0x70), 0x70),
        Key::KeypadDecimal => (Plain(0x71), 0x71),
        Key::NonUsBackslash => (Plain(0x61), 0x13),
        Key::Application => (Extended(0x2f), 0x8d),
        Key::International1 => (Plain(0x51), 0x51),
        Key::International2 => (Plain(0x13), 0x87),
        Key::International3 => (Plain(0x6a), 0x5d),
        Key::International4 => (Plain(0x64), 0x86),
        Key::International5 => (Plain(0x67), 0x85),
        Key::LeftControl => (Plain(0x14), 0x11),
        Key::LeftShift => (Plain(0x12), 0x12),
        Key::LeftAlt => (Plain(0x11), 0x19),
        Key::LeftGui => (Extended(0x1f), 0x8b),
        Key::RightControl => (Extended(0x14), 0x58),
        Key::RightShift => (Plain(0x59), 0x59),
        Key::RightAlt => (Extended(0x11), 0x39),
        Key::RightGui => (Extended(0x27), 0x8c),
        _ => return (young(key), None),
    };
    (two, Some(three))
}

/// Set-2 codes of keys that set 3 has not.
fn young(key: Key) -> Code {
    match key {
        Key::Power => Code::Extended(0x37),
        Key::KeypadEqual => Code::Plain(0x0f),
        Key::KeypadComma => Code::Plain(0x6d),
        Key::F13 => Code::Plain(0x08),
        Key::F14 => Code::Plain(0x10),
        Key::F15 => Code::Plain(0x18),
        Key::F16 => Code::Plain(0x20),
        Key::F17 => Code::Plain(0x28),
        Key::F18 => Code::Plain(0x30),
        Key::F19 => Code::Plain(0x38),
        Key::F20 => Code::Plain(0x40),
        Key::F21 => Code::Plain(0x48),
        Key::F22 => Code::Plain(0x50),
        Key::F23 => Code::Plain(0x57),
        _ => Code::Plain(0x5f),
    }
}

/// Codes of set 3 lie below this.
pub(super) const SET_3_CODES: usize = 0x90;

/// How set 3's keys behave after reset (technical reference, "Scan code set 3", default key types).
pub(super) fn default_mode(code: u8) -> KeyMode {
    match code {
        // Caps Lock, both Shifts, left Control, left Alt.
        0x14 | 0x12 | 0x59 | 0x11 | 0x19 => KeyMode::MakeBreak,
        // Right Control and Alt; Insert, Home, End, the page keys; Escape; Print Screen, Scroll Lock, Pause.
        0x58 | 0x39 | 0x67 | 0x6e | 0x65 | 0x6f | 0x6d | 0x08 | 0x57 | 0x5f | 0x62 => KeyMode::Make,
        // Function keys.
        0x07 | 0x0f | 0x17 | 0x1f | 0x27 | 0x2f | 0x37 | 0x3f | 0x47 | 0x4f | 0x56 | 0x5e => {
            KeyMode::Make
        }
        // The keypad but for its plus.
        0x76 | 0x77 | 0x7e | 0x84 | 0x79 | 0x69 | 0x6b | 0x6c | 0x70..=0x75 | 0x7a | 0x7d => {
            KeyMode::Make
        }
        _ => KeyMode::Typematic,
    }
}

/// Pause: told once, with its release, and never repeated. With Control it is Break.
pub(super) fn pause(set: Set, control: bool) -> Sequence {
    let mut bytes = Sequence::new();
    append(
        &mut bytes,
        match (set, control) {
            (Set::One, false) => &[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5],
            (Set::One, true) => &[0xe0, 0x46, 0xe0, 0xc6],
            (_, false) => &[0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77],
            (_, true) => &[0xe0, 0x7e, 0xe0, 0xf0, 0x7e],
        },
    );
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_one_and_two_tell_keys_apart() {
        for (index, &key) in Key::ALL.iter().enumerate() {
            for &other in &Key::ALL[..index] {
                let (two, three) = codes(key);
                let (other_two, other_three) = codes(other);
                let same_place = (other, key) == (Key::Backslash, Key::NonUsHash);
                assert_eq!(two == other_two, same_place, "{key:?} and {other:?}");
                assert!(
                    three.is_none() || three != other_three,
                    "{key:?}, {other:?}"
                );
            }
        }
    }

    #[test]
    fn set_one_as_the_pc_xt_had_it() {
        let one = |key| codes(key).0.sequence(Set::One, Action::Press).to_vec();
        assert_eq!(one(Key::Escape), [0x01]);
        assert_eq!(one(Key::A), [0x1e]);
        assert_eq!(one(Key::F7), [0x41]);
        assert_eq!(one(Key::F10), [0x44]);
        assert_eq!(one(Key::F12), [0x58]);
        assert_eq!(one(Key::NonUsBackslash), [0x56]);
        assert_eq!(one(Key::Up), [0xe0, 0x48]);
        assert_eq!(one(Key::RightControl), [0xe0, 0x1d]);
        assert_eq!(one(Key::LeftGui), [0xe0, 0x5b]);
        assert_eq!(one(Key::International3), [0x7d]);
        assert_eq!(one(Key::KeypadComma), [0x7e]);
        assert_eq!(one(Key::F24), [0x76]);
        let released = codes(Key::Up).0.sequence(Set::One, Action::Release);
        assert_eq!(released.as_slice(), [0xe0, 0xc8]);
    }
}
