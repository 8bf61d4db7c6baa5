//! The input service: the host's own keyboard and mouse drive the guest, beside those of viewers on the network.
//!
//! Control, Alt and Escape together turn the host's screen and keyboard from the guest to Monovisor and back.

use super::{route, screen, signal::Signal};
use crate::console::input::HostEnd;
use crate::console::ports::CpuPorts;
use crate::info;
use drivers::i8042::{Controller, Mouse, Source};
use drivers::ports::Ports;
use hvm::input::{Action, Key, KeyEvent, Leds, PointerEvent};
use pc::ps2::{Decoder, Packets, Wheel};
use spin::Mutex;

/// ISA interrupts of the two devices.
const KEYBOARD_IRQ: u8 = 1;
const MOUSE_IRQ: u8 = 12;

/// Raised by both interrupts, and when the guest sets its lamps.
pub static WORK: Signal = Signal::new();

/// The way to the guest. Only tasks touch it, so it is never contended.
static GUEST: Mutex<Option<HostEnd>> = Mutex::new(None);

/// A key moved, wherever it is.
pub fn key(event: KeyEvent) {
    if let Some(guest) = GUEST.lock().as_mut() {
        guest.key(event);
    }
}

/// A pointer did something, wherever it is.
pub fn pointer(event: PointerEvent) {
    if let Some(guest) = GUEST.lock().as_mut() {
        guest.pointer(event);
    }
}

/// The lamps that the guest has lit.
pub fn leds() -> Leds {
    match GUEST.lock().as_ref() {
        Some(guest) => guest.leds(),
        None => Leds::empty(),
    }
}

/// The host's keyboard and mouse.
pub struct Desk<P> {
    controller: Controller<P>,
    keys: Decoder,
    packets: Packets,
    held: Held,
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

/// Opens the way to the guest, and looks for the host's keyboard controller. Without one there is nothing to serve.
pub fn start(guest: HostEnd) -> Option<Desk<CpuPorts>> {
    *GUEST.lock() = Some(guest);
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
            let leds = leds();
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
            if let Some(guest) = GUEST.lock().as_mut() {
                guest.release_keys();
            }
        } else if screen::shows_guest() {
            key(event);
        }
    }

    fn mouse(&mut self, byte: u8) {
        self.packets.byte(byte, &mut |event| {
            if screen::shows_guest() {
                pointer(event);
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
