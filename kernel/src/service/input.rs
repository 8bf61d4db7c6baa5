//! The input service: the host's own keyboard and mouse drive the guest.
//!
//! Control, Alt and Escape together turn the host's screen and keyboard from the guest to Monovisor and back.

use super::{route, screen, signal::Signal};
use crate::console::input::HostEnd;
use crate::console::ports::CpuPorts;
use crate::info;
use drivers::i8042::{Controller, Mouse, Source};
use drivers::ports::Ports;
use hvm::input::{Action, Key, KeyEvent, Leds};
use pc::ps2::{Decoder, Packets, Wheel};

/// ISA interrupts of the two devices.
const KEYBOARD_IRQ: u8 = 1;
const MOUSE_IRQ: u8 = 12;

/// Raised by both interrupts, and when the guest sets its lamps.
pub static WORK: Signal = Signal::new();

/// The host's keyboard and mouse, and where they lead.
pub struct Desk<P> {
    controller: Controller<P>,
    keys: Decoder,
    packets: Packets,
    held: Held,
    guest: HostEnd,
    leds: Leds,
}

/// Modifiers that are down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    controls: u8,
    alts: u8,
}

impl Held {
    /// Takes a key; true if it completes the chord.
    fn completes(&mut self, event: KeyEvent) -> bool {
        let (place, bit) = match event.key {
            Key::LeftControl => (&mut self.controls, 1),
            Key::RightControl => (&mut self.controls, 2),
            Key::LeftAlt => (&mut self.alts, 1),
            Key::RightAlt => (&mut self.alts, 2),
            Key::Escape => {
                return event.action == Action::Press && self.controls != 0 && self.alts != 0;
            }
            _ => return false,
        };
        match event.action {
            Action::Press => *place |= bit,
            Action::Release => *place &= !bit,
        }
        false
    }
}

/// Looks for the host's keyboard controller. Without one there is nothing to serve.
pub fn start(guest: HostEnd) -> Option<Desk<CpuPorts>> {
    // SAFETY: the controller reaches no memory, and nothing else drives it.
    let Some(controller) = Controller::probe(unsafe { CpuPorts::new() }) else {
        info!("no PS/2 keyboard controller: the guest is typed to by other ways only");
        return None;
    };
    let wheel = match controller.mouse() {
        Mouse::Wheel => Wheel::Present,
        Mouse::Plain | Mouse::Absent => Wheel::Absent,
    };
    route(KEYBOARD_IRQ, "the keyboard", |_| WORK.raise());
    if controller.mouse() != Mouse::Absent {
        route(MOUSE_IRQ, "the mouse", |_| WORK.raise());
    }
    Some(Desk {
        controller,
        keys: Decoder::new(),
        packets: Packets::new(wheel),
        held: Held::default(),
        guest,
        leds: Leds::empty(),
    })
}

impl<P: Ports> Desk<P> {
    /// Serves for ever.
    pub async fn run(mut self) {
        loop {
            // Until the controller is empty: the next byte is what interrupts.
            while let Some((source, byte)) = self.controller.read() {
                match source {
                    Source::Keyboard => {
                        if let Some(event) = self.keys.byte(byte) {
                            self.key(event);
                        }
                    }
                    Source::Mouse => self.mouse(byte),
                }
            }
            let leds = self.guest.leds();
            if leds != self.leds {
                self.leds = leds;
                self.controller.set_leds(leds.bits());
            }
            WORK.wait().await;
        }
    }

    fn key(&mut self, event: KeyEvent) {
        if self.held.completes(event) {
            screen::turn_over();
            self.guest.release_keys();
        } else if screen::shows_guest() {
            self.guest.key(event);
        }
    }

    fn mouse(&mut self, byte: u8) {
        let guest = &mut self.guest;
        self.packets.byte(byte, &mut |event| {
            if screen::shows_guest() {
                guest.pointer(event);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chord_takes_all_three() {
        let mut held = Held::default();
        let mut key = |key, action| held.completes(KeyEvent { key, action });
        assert!(!key(Key::Escape, Action::Press));
        assert!(!key(Key::LeftControl, Action::Press));
        assert!(!key(Key::Escape, Action::Press));
        assert!(!key(Key::RightAlt, Action::Press));
        assert!(key(Key::Escape, Action::Press));
        assert!(!key(Key::Escape, Action::Release));
        assert!(!key(Key::RightAlt, Action::Release));
        assert!(!key(Key::Escape, Action::Press));
    }
}
