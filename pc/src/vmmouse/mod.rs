//! The absolute pointer behind port 5658h, which guests know as VMware's (drivers: Linux' `vmmouse`, Xorg's, the Windows
//! tools').
//!
//! A request is an IN of a dword from the port, but its arguments and results are in EAX to EDX: so the port does not belong to
//! the bus, and whoever runs the vCPU gives [`VmMouse::request`] the [`Registers`] and puts them back. The pointer has no
//! interrupt of its own: after each packet the PS/2 mouse reports once, and its driver then looks here.

mod bits;
#[cfg(test)]
mod tests;

use crate::saved;
use alloc::vec::Vec;
use bits::*;
use heapless::Deque;
use hvm::device::{Lifecycle, RestoreError};
use hvm::input::{Action, Button, PointerEvent, Position};
use serde::{Deserialize, Serialize};

/// The port.
pub const PORT: u16 = 0x5658;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// Words of a packet: buttons, X, Y, wheel.
const PACKET_WORDS: usize = 4;
/// Words that wait for the guest.
const QUEUE_WORDS: usize = 64 * PACKET_WORDS;

/// The low halves of the registers that a request reads and writes. Each is written back zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The magic number; then the first result.
    pub eax: u32,
    /// The argument.
    pub ebx: u32,
    /// The command, in its low half.
    pub ecx: u32,
    /// The port, in its low half.
    pub edx: u32,
}

/// What the guest asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    /// Nothing: the PS/2 mouse serves.
    Off,
    /// Packets that tell movement.
    Relative,
    /// Packets that tell places.
    Absolute,
}

/// The pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmMouse {
    mode: Mode,
    queue: Deque<u32, QUEUE_WORDS>,
    buttons: u32,
    place: (u32, u32),
}

impl Default for VmMouse {
    fn default() -> Self {
        Self::new()
    }
}

impl VmMouse {
    /// A pointer that nobody asked for yet.
    pub fn new() -> Self {
        Self {
            mode: Mode::Off,
            queue: Deque::new(),
            buttons: 0,
            place: (0, 0),
        }
    }

    /// Answers a request; `None` if it is none of ours, and the port then reads as any that nobody decodes.
    pub fn request(&mut self, registers: Registers) -> Option<Registers> {
        if registers.eax != MAGIC {
            return None;
        }
        let mut answer = registers;
        match registers.ecx as u16 {
            GET_VERSION => {
                answer.eax = VERSION;
                answer.ebx = MAGIC;
                answer.ecx = PRODUCT;
            }
            POINTER_STATUS => answer.eax = self.status(),
            POINTER_DATA => self.data(registers.ebx, &mut answer),
            POINTER_COMMAND => self.command(registers.ebx),
            _ => return None,
        }
        Some(answer)
    }

    /// True if pointer events belong here and not to the PS/2 mouse.
    pub fn is_on(&self) -> bool {
        self.mode != Mode::Off
    }

    /// True if a packet has room.
    pub fn has_room(&self) -> bool {
        self.queue.len() + PACKET_WORDS <= QUEUE_WORDS
    }

    /// The pointer did something.
    pub fn pointer(&mut self, event: PointerEvent) {
        match event {
            PointerEvent::Motion { right, down } => self.packet(RELATIVE, right, -i32::from(down)),
            PointerEvent::Position(position) => self.position(position),
            PointerEvent::Wheel { up } => self.wheel(-i32::from(up)),
            PointerEvent::Button { button, action } => {
                let bit = match button {
                    Button::Left => LEFT,
                    Button::Right => RIGHT,
                    Button::Middle => MIDDLE,
                    // The protocol has three.
                    Button::Side | Button::Extra => return,
                };
                match action {
                    Action::Press => self.buttons |= bit,
                    Action::Release => self.buttons &= !bit,
                }
                self.wheel(0);
            }
        }
    }

    fn position(&mut self, position: Position) {
        let place = (
            of_full_scale(position.x, position.width),
            of_full_scale(position.y, position.height),
        );
        let moved = (
            place.0 as i32 - self.place.0 as i32,
            place.1 as i32 - self.place.1 as i32,
        );
        self.place = place;
        match self.mode {
            Mode::Relative => self.packet(RELATIVE, moved.0, -moved.1),
            _ => self.wheel(0),
        }
    }

    /// A packet that tells no movement.
    fn wheel(&mut self, towards_user: i32) {
        let (flags, x, y) = match self.mode {
            Mode::Relative => (RELATIVE, 0, 0),
            _ => (0, self.place.0, self.place.1),
        };
        self.push([self.buttons | flags, x, y, towards_user as u32]);
    }

    fn packet(&mut self, flags: u32, x: impl Into<i32>, y: i32) {
        self.push([self.buttons | flags, x.into() as u32, y as u32, 0]);
    }

    fn push(&mut self, packet: [u32; PACKET_WORDS]) {
        if self.is_on() && self.has_room() {
            for word in packet {
                let _ = self.queue.push_back(word);
            }
        }
    }

    fn status(&self) -> u32 {
        let state = if self.is_on() || !self.queue.is_empty() {
            0
        } else {
            STATUS_OFF
        };
        state | self.queue.len() as u32
    }

    /// Gives out the next words. A driver that asks for more than there are is out of step: the pointer goes off, and the
    /// status then tells it.
    fn data(&mut self, words: u32, answer: &mut Registers) {
        let slots = [
            &mut answer.eax,
            &mut answer.ebx,
            &mut answer.ecx,
            &mut answer.edx,
        ];
        if words as usize > slots.len().min(self.queue.len()) {
            self.switch(Mode::Off);
            return;
        }
        for slot in slots.into_iter().take(words as usize) {
            *slot = self.queue.pop_front().unwrap_or(0);
        }
    }

    fn command(&mut self, command: u32) {
        match command {
            READ_ID => {
                self.queue.clear();
                let _ = self.queue.push_back(POINTER_ID);
            }
            DISABLE => self.switch(Mode::Off),
            REQUEST_RELATIVE => self.switch(Mode::Relative),
            REQUEST_ABSOLUTE => self.switch(Mode::Absolute),
            _ => {}
        }
    }

    fn switch(&mut self, mode: Mode) {
        self.mode = mode;
        self.queue.clear();
    }
}

/// A pixel as a part of FFFFh; a place off the screen is at its edge.
fn of_full_scale(pixel: u16, pixels: u16) -> u32 {
    let last = u32::from(pixels).saturating_sub(1).max(1);
    u32::from(pixel).min(last) * 0xffff / last
}

impl Lifecycle for VmMouse {
    fn kind(&self) -> &'static str {
        "vmmouse"
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let state: Self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        let (x, y) = state.place;
        *self = Self {
            place: (x.min(0xffff), y.min(0xffff)),
            ..state
        };
        Ok(())
    }
}
