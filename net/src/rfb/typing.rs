//! One viewer's keyboard and pointer.

use super::Desktop;
use super::keys::{self, Meaning, Shift};
use hvm::display::Size;
use hvm::input::{Action, Button, Key, KeyEvent, Leds, PointerEvent, Position};

/// Buttons by their bits (RFC 6143, 7.5.5); bits 3 and 4 are the wheel's.
const BUTTONS: [(u8, Button); 3] = [
    (1, Button::Left),
    (1 << 1, Button::Middle),
    (1 << 2, Button::Right),
];
const WHEEL_UP: u8 = 1 << 3;
const WHEEL_DOWN: u8 = 1 << 4;

/// What is down, and where the pointer was last.
#[derive(Default)]
pub struct Typing {
    /// By usage.
    keys: [u64; 4],
    buttons: u8,
    position: Option<(u16, u16)>,
}

fn turn(desktop: &mut impl Desktop, key: Key, action: Action) {
    desktop.key(KeyEvent { key, action });
}

impl Typing {
    fn is_down(&self, key: Key) -> bool {
        let usage = usize::from(key.usage());
        self.keys[usage / 64] & 1 << (usage % 64) != 0
    }

    /// A key moved, the one of that place if the viewer knows. A symbol that another Shift goes with than the viewer holds gets it for a moment.
    pub fn key(
        &mut self,
        action: Action,
        symbol: u32,
        place: Option<Key>,
        desktop: &mut impl Desktop,
    ) {
        if let Some(key) = place {
            return self.turn(key, action, desktop);
        }
        let Some(Meaning { key, shift }) = keys::by_symbol(symbol) else {
            return;
        };
        let held = [Key::LeftShift, Key::RightShift].map(|key| self.is_down(key).then_some(key));
        let is_shifted = held.iter().any(Option::is_some);
        let has_caps = desktop.leds().contains(Leds::CAPS);
        let wants_shift = match shift {
            Shift::Down => true,
            Shift::Up => false,
            Shift::Capital => !has_caps,
            Shift::Small => has_caps,
            Shift::Either => is_shifted,
        };
        if action == Action::Release || wants_shift == is_shifted {
            return self.turn(key, action, desktop);
        }
        let (before, after) = match wants_shift {
            true => (Action::Press, Action::Release),
            false => (Action::Release, Action::Press),
        };
        let shifts = match wants_shift {
            true => [Some(Key::LeftShift), None],
            false => held,
        };
        for key in shifts.into_iter().flatten() {
            turn(desktop, key, before);
        }
        self.turn(key, action, desktop);
        for key in shifts.into_iter().flatten() {
            turn(desktop, key, after);
        }
    }

    fn turn(&mut self, key: Key, action: Action, desktop: &mut impl Desktop) {
        let usage = usize::from(key.usage());
        let (word, bit) = (&mut self.keys[usage / 64], 1 << (usage % 64));
        match action {
            Action::Press => *word |= bit,
            Action::Release => *word &= !bit,
        }
        turn(desktop, key, action);
    }

    /// The pointer is there now, with these buttons down, on a screen of this size.
    pub fn pointer(&mut self, buttons: u8, x: u16, y: u16, size: Size, desktop: &mut impl Desktop) {
        if self.position != Some((x, y)) {
            self.position = Some((x, y));
            let (width, height) = (size.width as u16, size.height as u16);
            desktop.pointer(PointerEvent::Position(Position {
                x: x.min(width.saturating_sub(1)),
                y: y.min(height.saturating_sub(1)),
                width,
                height,
            }));
        }
        let pressed = buttons & !self.buttons;
        for (bit, button) in BUTTONS {
            if (buttons ^ self.buttons) & bit != 0 {
                let action = match buttons & bit {
                    0 => Action::Release,
                    _ => Action::Press,
                };
                desktop.pointer(PointerEvent::Button { button, action });
            }
        }
        for (bit, up) in [(WHEEL_UP, 1), (WHEEL_DOWN, -1)] {
            if pressed & bit != 0 {
                desktop.pointer(PointerEvent::Wheel { up });
            }
        }
        self.buttons = buttons;
    }

    /// The viewer is gone: what it held comes up.
    pub fn release(&mut self, desktop: &mut impl Desktop) {
        for &key in Key::ALL {
            if self.is_down(key) {
                turn(desktop, key, Action::Release);
            }
        }
        for (bit, button) in BUTTONS {
            if self.buttons & bit != 0 {
                let action = Action::Release;
                desktop.pointer(PointerEvent::Button { button, action });
            }
        }
        *self = Self::default();
    }
}
