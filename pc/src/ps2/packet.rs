//! Packets as movements: the way back, for whoever has a PS/2 mouse of his own on the desk (the host's).

use hvm::input::{Action, Button, PointerEvent};

/// Bytes of a packet at most.
const PACKET_BYTES: usize = 4;
/// Bits of a packet's first byte.
const ALWAYS: u8 = 1 << 3;
const RIGHT_SIGN: u8 = 1 << 4;
const UP_SIGN: u8 = 1 << 5;
const OVERFLOW: u8 = 0b11 << 6;
const BUTTONS: [(u8, Button); 3] = [
    (1, Button::Left),
    (1 << 1, Button::Right),
    (1 << 2, Button::Middle),
];

/// Whether the fourth byte, of the wheel, is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wheel {
    /// It is not.
    Absent,
    /// It is.
    Present,
}

/// Reads a mouse's packets of three or four bytes.
#[derive(Clone, Debug)]
pub struct Packets {
    wheel: Wheel,
    bytes: [u8; PACKET_BYTES],
    count: usize,
    buttons: u8,
}

impl Packets {
    /// Between two packets.
    pub fn new(wheel: Wheel) -> Self {
        Self {
            wheel,
            bytes: [0; PACKET_BYTES],
            count: 0,
            buttons: 0,
        }
    }

    /// Takes a byte, and tells what the packet that it completes says. A first byte that cannot be one is passed over, so that a
    /// lost byte costs a packet or two.
    pub fn byte(&mut self, byte: u8, told: &mut dyn FnMut(PointerEvent)) {
        if self.count == 0 && byte & ALWAYS == 0 {
            return;
        }
        self.bytes[self.count] = byte;
        self.count += 1;
        let wanted = match self.wheel {
            Wheel::Absent => 3,
            Wheel::Present => 4,
        };
        if self.count == wanted {
            self.count = 0;
            self.packet(told);
        }
    }

    fn packet(&mut self, told: &mut dyn FnMut(PointerEvent)) {
        let [first, right, up, wheel] = self.bytes;
        let count = |byte: u8, sign: u8| i16::from(byte) - if first & sign != 0 { 256 } else { 0 };
        // A movement that overflowed is not known.
        if (right, up) != (0, 0) && first & OVERFLOW == 0 {
            told(PointerEvent::Motion {
                right: count(right, RIGHT_SIGN),
                down: -count(up, UP_SIGN),
            });
        }
        if self.wheel == Wheel::Present && wheel != 0 {
            told(PointerEvent::Wheel {
                up: (wheel as i8).saturating_neg(),
            });
        }
        for (bit, button) in BUTTONS {
            if (first ^ self.buttons) & bit != 0 {
                let action = if first & bit != 0 {
                    Action::Press
                } else {
                    Action::Release
                };
                told(PointerEvent::Button { button, action });
            }
        }
        self.buttons = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ps2::Mouse;
    use alloc::vec::Vec;
    use hvm::Instant;

    fn knock(mouse: &mut Mouse) {
        for byte in [0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2, 0xf4] {
            mouse.receive(byte);
        }
        while mouse.next_byte().is_some() {}
    }

    #[test]
    fn what_our_mouse_sends_is_read_back() {
        let events = [
            PointerEvent::Motion {
                right: -3,
                down: 100,
            },
            PointerEvent::Button {
                button: Button::Middle,
                action: Action::Press,
            },
            PointerEvent::Wheel { up: 1 },
            PointerEvent::Button {
                button: Button::Middle,
                action: Action::Release,
            },
        ];
        let mut mouse = Mouse::new();
        knock(&mut mouse);
        let mut packets = Packets::new(Wheel::Present);
        let mut seen = Vec::new();
        for (second, event) in (1..).zip(events) {
            mouse.pointer(event);
            mouse.advance(Instant::from_ns(second * 1_000_000_000));
            while let Some(byte) = mouse.next_byte() {
                packets.byte(byte, &mut |event| seen.push(event));
            }
        }
        assert_eq!(seen, events);
    }

    #[test]
    fn a_byte_out_of_place_is_passed_over() {
        let mut packets = Packets::new(Wheel::Absent);
        let mut seen = Vec::new();
        for byte in [0x00, 0x07, 0x09, 0, 0] {
            packets.byte(byte, &mut |event| seen.push(event));
        }
        assert_eq!(seen.len(), 1);
    }
}
