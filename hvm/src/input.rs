//! Input: what people do with keyboard and pointer, on its way to the guest's devices.
//!
//! A producer (the host's own keyboard, a VNC client) names physical keys by position, as USB does, and pointers by pixels of
//! the guest's screen; which scan codes or packets come of it is the emulated device's affair. A producer tells presses and
//! releases only: the emulated keyboard repeats held keys itself, at the rate that the guest chose.

use alloc::boxed::Box;
use bitflags::bitflags;

/// Makes an enumeration of keys and its way back from numbers.
macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $usage:literal,)*) => {
        /// A key by its place on the keyboard: the usage of USB's keyboard page (HID Usage Tables 1.12, chapter 10).
        /// Names are those of a US keyboard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Key {
            $($(#[$doc])* $name = $usage,)*
        }

        impl Key {
            /// Every key.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The key with that usage; `None` if no PC keyboard has it.
            pub const fn from_usage(usage: u8) -> Option<Self> {
                match usage {
                    $($usage => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

keys! {
    A = 0x04, B = 0x05, C = 0x06, D = 0x07, E = 0x08, F = 0x09, G = 0x0a, H = 0x0b, I = 0x0c,
    J = 0x0d, K = 0x0e, L = 0x0f, M = 0x10, N = 0x11, O = 0x12, P = 0x13, Q = 0x14, R = 0x15,
    S = 0x16, T = 0x17, U = 0x18, V = 0x19, W = 0x1a, X = 0x1b, Y = 0x1c, Z = 0x1d,
    Digit1 = 0x1e, Digit2 = 0x1f, Digit3 = 0x20, Digit4 = 0x21, Digit5 = 0x22,
    Digit6 = 0x23, Digit7 = 0x24, Digit8 = 0x25, Digit9 = 0x26, Digit0 = 0x27,
    Enter = 0x28, Escape = 0x29, Backspace = 0x2a, Tab = 0x2b, Space = 0x2c,
    Minus = 0x2d, Equal = 0x2e, LeftBracket = 0x2f, RightBracket = 0x30, Backslash = 0x31,
    /// Left of Enter on keyboards with a tall Enter.
    NonUsHash = 0x32,
    Semicolon = 0x33, Apostrophe = 0x34, Grave = 0x35, Comma = 0x36, Period = 0x37, Slash = 0x38,
    CapsLock = 0x39,
    F1 = 0x3a, F2 = 0x3b, F3 = 0x3c, F4 = 0x3d, F5 = 0x3e, F6 = 0x3f,
    F7 = 0x40, F8 = 0x41, F9 = 0x42, F10 = 0x43, F11 = 0x44, F12 = 0x45,
    PrintScreen = 0x46, ScrollLock = 0x47, Pause = 0x48,
    Insert = 0x49, Home = 0x4a, PageUp = 0x4b, Delete = 0x4c, End = 0x4d, PageDown = 0x4e,
    Right = 0x4f, Left = 0x50, Down = 0x51, Up = 0x52,
    NumLock = 0x53, KeypadDivide = 0x54, KeypadMultiply = 0x55, KeypadSubtract = 0x56,
    KeypadAdd = 0x57, KeypadEnter = 0x58, Keypad1 = 0x59, Keypad2 = 0x5a, Keypad3 = 0x5b,
    Keypad4 = 0x5c, Keypad5 = 0x5d, Keypad6 = 0x5e, Keypad7 = 0x5f, Keypad8 = 0x60,
    Keypad9 = 0x61, Keypad0 = 0x62, KeypadDecimal = 0x63,
    /// Right of the left Shift on keyboards with a short Shift.
    NonUsBackslash = 0x64,
    Application = 0x65, Power = 0x66, KeypadEqual = 0x67,
    F13 = 0x68, F14 = 0x69, F15 = 0x6a, F16 = 0x6b, F17 = 0x6c, F18 = 0x6d,
    F19 = 0x6e, F20 = 0x6f, F21 = 0x70, F22 = 0x71, F23 = 0x72, F24 = 0x73,
    KeypadComma = 0x85,
    /// Ro.
    International1 = 0x87,
    /// Katakana and hiragana.
    International2 = 0x88,
    /// Yen.
    International3 = 0x89,
    /// Henkan.
    International4 = 0x8a,
    /// Muhenkan.
    International5 = 0x8b,
    LeftControl = 0xe0, LeftShift = 0xe1, LeftAlt = 0xe2, LeftGui = 0xe3,
    RightControl = 0xe4, RightShift = 0xe5, RightAlt = 0xe6, RightGui = 0xe7,
}

impl Key {
    /// Its usage.
    pub const fn usage(self) -> u8 {
        self as u8
    }
}

/// Down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It went down.
    Press,
    /// It came up.
    Release,
}

/// A key moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// Which.
    pub key: Key,
    /// Which way.
    pub action: Action,
}

/// A pointer's button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// The middle one, or the wheel pressed.
    Middle,
    /// The fourth, "back".
    Side,
    /// The fifth, "forward".
    Extra,
}

/// Where a pointer is on the guest's screen, in pixels from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Column.
    pub x: u16,
    /// Row.
    pub y: u16,
    /// Columns of the screen that it was seen on.
    pub width: u16,
    /// Its rows.
    pub height: u16,
}

/// A pointer did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerEvent {
    /// It moved by so many counts: a mouse, which has no place.
    Motion {
        /// To the right.
        right: i16,
        /// Downwards.
        down: i16,
    },
    /// It is now there: a touch screen, or a cursor over a picture of the guest's screen. A guest that only has a mouse
    /// sees the difference to the position before.
    Position(Position),
    /// The wheel turned.
    Wheel {
        /// By so many notches away from the user.
        up: i8,
    },
    /// A button moved.
    Button {
        /// Which.
        button: Button,
        /// Which way.
        action: Action,
    },
}

/// The door to the bounded queues behind an [`Input`], on the producer's side: it keeps strokes and clicks whole. What it lets in
/// leaves room for the releases that must follow, so a queue that runs full loses presses and movements, and never a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Keys let in as pressed, by usage.
    keys: [u64; 4],
    /// Buttons likewise, by their place in [`Button`].
    buttons: u8,
}

impl Gate {
    /// A gate through which nothing has come.
    pub const fn new() -> Self {
        Self {
            keys: [0; 4],
            buttons: 0,
        }
    }

    /// True if the event is to be queued, where `room` more fit. Repeated presses and releases of what is not down are not news.
    pub fn key(&mut self, event: KeyEvent, room: usize) -> bool {
        let usage = usize::from(event.key.usage());
        let (word, bit) = (usage / 64, 1 << (usage % 64));
        let held: usize = self
            .keys
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum();
        let is_down = self.keys[word] & bit != 0;
        match event.action {
            Action::Press if !is_down && room >= held + 2 => self.keys[word] |= bit,
            Action::Release if is_down => self.keys[word] &= !bit,
            _ => return false,
        }
        true
    }

    /// The same for a pointer's queue.
    pub fn pointer(&mut self, event: PointerEvent, room: usize) -> bool {
        let has_room = room >= self.buttons.count_ones() as usize + 2;
        let PointerEvent::Button { button, action } = event else {
            return has_room;
        };
        let bit = 1 << button as u8;
        let is_down = self.buttons & bit != 0;
        match action {
            Action::Press if !is_down && has_room => self.buttons |= bit,
            Action::Release if is_down => self.buttons &= !bit,
            _ => return false,
        }
        true
    }

    /// Lets go of every key: the releases to queue when the keyboard turns to somebody else. They have room.
    pub fn release_keys(&mut self) -> impl Iterator<Item = KeyEvent> {
        let keys = core::mem::take(&mut self.keys);
        Key::ALL.iter().copied().filter_map(move |key| {
            let usage = usize::from(key.usage());
            let is_down = keys[usage / 64] & 1 << (usage % 64) != 0;
            is_down.then_some(KeyEvent {
                key,
                action: Action::Release,
            })
        })
    }
}

bitflags! {
    /// A keyboard's lamps, at their places in the PS/2 command that sets them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Leds: u8 {
        /// Scroll Lock.
        const SCROLL = 1;
        /// Num Lock.
        const NUM = 1 << 1;
        /// Caps Lock.
        const CAPS = 1 << 2;
    }
}

/// Where input comes from. Calls never block.
///
/// Both queues are bounded by whoever keeps them. A device takes events only as fast as its guest reads, so a queue that
/// is full must drop something: whole clicks and strokes rather than a release alone, which would leave a key down;
/// [`Gate`] sees to that.
pub trait Input: Send {
    /// The next key event, if any.
    fn next_key(&mut self) -> Option<KeyEvent>;
    /// The next pointer event, if any.
    fn next_pointer(&mut self) -> Option<PointerEvent>;
    /// The guest set its lamps.
    fn set_leds(&mut self, leds: Leds) {
        let _ = leds;
    }
}

/// Input of any make.
pub type BoxedInput = Box<dyn Input>;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn keys_and_usages_are_one_to_one() {
        for usage in 0..=255 {
            if let Some(key) = Key::from_usage(usage) {
                assert_eq!(key.usage(), usage);
                assert_eq!(Key::ALL.iter().filter(|other| **other == key).count(), 1);
            }
        }
        assert_eq!(
            Key::ALL.len(),
            (0..=255).filter_map(Key::from_usage).count()
        );
        assert_eq!(Key::from_usage(3), None);
    }

    fn stroke() -> impl Strategy<Value = KeyEvent> {
        let action = prop_oneof![Just(Action::Press), Just(Action::Release)];
        (0_usize..12, action).prop_map(|(key, action)| KeyEvent {
            key: Key::ALL[key],
            action,
        })
    }

    proptest! {
        #[test]
        fn a_full_queue_never_leaves_a_key_down(
            strokes in prop::collection::vec((stroke(), 0_usize..3), 0..200),
            capacity in 2_usize..10,
        ) {
            let (mut gate, mut queue, mut down) = (Gate::new(), VecDeque::new(), Vec::new());
            let mut read = |queue: &mut VecDeque<KeyEvent>, count| {
                for event in queue.drain(..queue.len().min(count)) {
                    match event.action {
                        Action::Press => down.push(event.key),
                        Action::Release => down.retain(|key| *key != event.key),
                    }
                }
                down.len()
            };
            for (event, count) in strokes {
                if gate.key(event, capacity - queue.len()) {
                    queue.push_back(event);
                }
                prop_assert!(queue.len() <= capacity);
                read(&mut queue, count);
            }
            for event in gate.release_keys() {
                queue.push_back(event);
            }
            prop_assert!(queue.len() <= capacity);
            prop_assert_eq!(read(&mut queue, capacity), 0);
            prop_assert_eq!(gate, Gate::new());
        }
    }

    #[test]
    fn clicks_stay_whole_among_movements() {
        let mut gate = Gate::new();
        let click = |action| PointerEvent::Button {
            button: Button::Extra,
            action,
        };
        let motion = PointerEvent::Motion { right: 1, down: 1 };
        assert!(!gate.pointer(click(Action::Press), 1));
        assert!(
            !gate.pointer(click(Action::Release), 9),
            "its press was lost"
        );
        assert!(gate.pointer(click(Action::Press), 2));
        assert!(!gate.pointer(motion, 1), "room for the release");
        assert!(gate.pointer(motion, 3));
        assert!(gate.pointer(click(Action::Release), 1));
    }
}
