//! From what viewers say of keys to keys.

use hvm::input::Key;

/// What somebody means by a key: which key of a US keyboard that is, and whether Shift goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The key.
    pub key: Key,
    /// Shift.
    pub shift: Shift,
}

/// Whether Shift goes with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// A character of it has Shift down.
    Down,
    /// Up.
    Up,
    /// A letter: so, unless Caps Lock is on, which turns it round.
    Capital,
    /// The same for the other case.
    Small,
    /// It means the same either way.
    Either,
}

/// Letters of a US keyboard are in the alphabet's order, as usages are.
fn letter(offset: u32) -> Option<Key> {
    Key::from_usage(Key::A.usage() + offset as u8)
}

/// The key behind X's number of a symbol (X11's keysymdef.h); `None` if a US keyboard has none.
pub fn by_symbol(symbol: u32) -> Option<Meaning> {
    let meant = |key, shift| Some(Meaning { key, shift });
    match symbol {
        0x41..=0x5a => meant(letter(symbol - 0x41)?, Shift::Capital),
        0x61..=0x7a => meant(letter(symbol - 0x61)?, Shift::Small),
        0x20..=0x7e => {
            let character = symbol as u8;
            if let Some((_, key)) = UNSHIFTED.iter().find(|(byte, _)| *byte == character) {
                return meant(*key, Shift::Up);
            }
            let (_, key) = SHIFTED.iter().find(|(byte, _)| *byte == character)?;
            meant(*key, Shift::Down)
        }
        _ => {
            let (_, key) = OTHERS.iter().find(|(number, _)| *number == symbol)?;
            meant(*key, Shift::Either)
        }
    }
}

use Key::*;

#[rustfmt::skip]
const UNSHIFTED: &[(u8, Key)] = &[
    (b' ', Space), (b'0', Digit0), (b'1', Digit1), (b'2', Digit2), (b'3', Digit3), (b'4', Digit4), (b'5', Digit5), (b'6', Digit6),
    (b'7', Digit7), (b'8', Digit8), (b'9', Digit9), (b'-', Minus), (b'=', Equal), (b'[', LeftBracket), (b']', RightBracket),
    (b'\\', Backslash), (b';', Semicolon), (b'\'', Apostrophe), (b'`', Grave), (b',', Comma), (b'.', Period), (b'/', Slash),
];

#[rustfmt::skip]
const SHIFTED: &[(u8, Key)] = &[
    (b')', Digit0), (b'!', Digit1), (b'@', Digit2), (b'#', Digit3), (b'$', Digit4), (b'%', Digit5), (b'^', Digit6), (b'&', Digit7),
    (b'*', Digit8), (b'(', Digit9), (b'_', Minus), (b'+', Equal), (b'{', LeftBracket), (b'}', RightBracket), (b'|', Backslash),
    (b':', Semicolon), (b'"', Apostrophe), (b'~', Grave), (b'<', Comma), (b'>', Period), (b'?', Slash),
];

/// Symbols that are no characters.
#[rustfmt::skip]
const OTHERS: &[(u32, Key)] = &[
    (0xff08, Backspace), (0xff09, Tab), (0xfe20, Tab), (0xff0a, Enter), (0xff0d, Enter), (0xff13, Pause), (0xff6b, Pause),
    (0xff14, ScrollLock), (0xff15, PrintScreen), (0xff61, PrintScreen), (0xff1b, Escape), (0xffff, Delete), (0xff50, Home),
    (0xff51, Left), (0xff52, Up), (0xff53, Right), (0xff54, Down), (0xff55, PageUp), (0xff56, PageDown), (0xff57, End),
    (0xff63, Insert), (0xff67, Application), (0xff7f, NumLock), (0xffe5, CapsLock),
    (0xff8d, KeypadEnter), (0xffaa, KeypadMultiply), (0xffab, KeypadAdd), (0xffac, KeypadComma), (0xffad, KeypadSubtract),
    (0xffae, KeypadDecimal), (0xffaf, KeypadDivide), (0xffbd, KeypadEqual), (0xffb0, Keypad0), (0xffb1, Keypad1), (0xffb2, Keypad2),
    (0xffb3, Keypad3), (0xffb4, Keypad4), (0xffb5, Keypad5), (0xffb6, Keypad6), (0xffb7, Keypad7), (0xffb8, Keypad8),
    (0xffb9, Keypad9), (0xff95, Keypad7), (0xff96, Keypad4), (0xff97, Keypad8), (0xff98, Keypad6), (0xff99, Keypad2),
    (0xff9a, Keypad9), (0xff9b, Keypad3), (0xff9c, Keypad1), (0xff9d, Keypad5), (0xff9e, Keypad0), (0xff9f, KeypadDecimal),
    (0xffbe, F1), (0xffbf, F2), (0xffc0, F3), (0xffc1, F4), (0xffc2, F5), (0xffc3, F6), (0xffc4, F7), (0xffc5, F8), (0xffc6, F9),
    (0xffc7, F10), (0xffc8, F11), (0xffc9, F12),
    (0xffe1, LeftShift), (0xffe2, RightShift), (0xffe3, LeftControl), (0xffe4, RightControl), (0xffe7, LeftGui), (0xffe8, RightGui),
    (0xffe9, LeftAlt), (0xffea, RightAlt), (0xffeb, LeftGui), (0xffec, RightGui), (0xfe03, RightAlt), (0xff7e, RightAlt),
    (0xff31, International2), (0xff23, International4), (0xff22, International5),
];

/// The key with a PC's number, as QEMU's extension has it: the scan code of set 1, with 80h added where E0h comes before it.
pub fn by_place(place: u32) -> Option<Key> {
    let place = u8::try_from(place).ok()?;
    let table = match place & 0x80 {
        0 => PLAIN,
        _ => EXTENDED,
    };
    let (_, key) = table.iter().find(|(code, _)| *code == place & 0x7f)?;
    Some(*key)
}

/// Scan codes of set 1.
#[rustfmt::skip]
const PLAIN: &[(u8, Key)] = &[
    (0x01, Escape), (0x02, Digit1), (0x03, Digit2), (0x04, Digit3), (0x05, Digit4), (0x06, Digit5), (0x07, Digit6), (0x08, Digit7),
    (0x09, Digit8), (0x0a, Digit9), (0x0b, Digit0), (0x0c, Minus), (0x0d, Equal), (0x0e, Backspace), (0x0f, Tab), (0x10, Q), (0x11, W),
    (0x12, E), (0x13, R), (0x14, T), (0x15, Y), (0x16, U), (0x17, I), (0x18, O), (0x19, P), (0x1a, LeftBracket), (0x1b, RightBracket),
    (0x1c, Enter), (0x1d, LeftControl), (0x1e, A), (0x1f, S), (0x20, D), (0x21, F), (0x22, G), (0x23, H), (0x24, J), (0x25, K),
    (0x26, L), (0x27, Semicolon), (0x28, Apostrophe), (0x29, Grave), (0x2a, LeftShift), (0x2b, Backslash), (0x2c, Z), (0x2d, X),
    (0x2e, C), (0x2f, V), (0x30, B), (0x31, N), (0x32, M), (0x33, Comma), (0x34, Period), (0x35, Slash), (0x36, RightShift),
    (0x37, KeypadMultiply), (0x38, LeftAlt), (0x39, Space), (0x3a, CapsLock), (0x3b, F1), (0x3c, F2), (0x3d, F3), (0x3e, F4),
    (0x3f, F5), (0x40, F6), (0x41, F7), (0x42, F8), (0x43, F9), (0x44, F10), (0x45, NumLock), (0x46, ScrollLock), (0x47, Keypad7),
    (0x48, Keypad8), (0x49, Keypad9), (0x4a, KeypadSubtract), (0x4b, Keypad4), (0x4c, Keypad5), (0x4d, Keypad6), (0x4e, KeypadAdd),
    (0x4f, Keypad1), (0x50, Keypad2), (0x51, Keypad3), (0x52, Keypad0), (0x53, KeypadDecimal), (0x54, PrintScreen),
    (0x56, NonUsBackslash), (0x57, F11), (0x58, F12), (0x59, KeypadEqual), (0x5d, F13), (0x5e, F14), (0x5f, F15),
    (0x70, International2), (0x73, International1), (0x79, International4), (0x7b, International5), (0x7d, International3),
    (0x7e, KeypadComma),
];

/// Those with E0h before them.
#[rustfmt::skip]
const EXTENDED: &[(u8, Key)] = &[
    (0x1c, KeypadEnter), (0x1d, RightControl), (0x35, KeypadDivide), (0x37, PrintScreen), (0x38, RightAlt), (0x46, Pause),
    (0x47, Home), (0x48, Up), (0x49, PageUp), (0x4b, Left), (0x4d, Right), (0x4f, End), (0x50, Down), (0x51, PageDown), (0x52, Insert),
    (0x53, Delete), (0x5b, LeftGui), (0x5c, RightGui), (0x5d, Application), (0x5e, Power),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_character_of_ascii_has_a_key() {
        for symbol in 0x20..0x7f {
            assert!(by_symbol(symbol).is_some(), "{symbol:#x}");
        }
        let meant = |key, shift| Some(Meaning { key, shift });
        assert_eq!(by_symbol('a'.into()), meant(A, Shift::Small));
        assert_eq!(by_symbol('Z'.into()), meant(Z, Shift::Capital));
        assert_eq!(by_symbol('?'.into()), meant(Slash, Shift::Down));
        assert_eq!(by_symbol(0xff0d), meant(Enter, Shift::Either));
        assert_eq!(by_symbol(0xe4), None);
    }

    #[test]
    fn places_are_those_of_a_pc() {
        assert_eq!(by_place(0x1e), Some(A));
        assert_eq!(by_place(0xc8), Some(Up));
        assert_eq!(by_place(0x1_001e), None);
        assert_eq!(by_place(0), None);
        for table in [PLAIN, EXTENDED] {
            let mut codes: Vec<_> = table.iter().map(|(code, _)| *code).collect();
            codes.dedup();
            assert_eq!(codes.len(), table.len());
            assert!(codes.is_sorted());
        }
    }
}
