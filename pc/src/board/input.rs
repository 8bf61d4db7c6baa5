//! Keyboard and pointer on the board: from the back end to the devices, and the controller's two lines.

use super::Board;
use super::interrupts::{KEYBOARD_IRQ, MOUSE_IRQ, Source};
use crate::vmmouse::Registers;
use hvm::device::Context;
use hvm::input::{BoxedInput, Leds};

/// Where input comes from, and what it was told of the lamps.
#[derive(Default)]
pub(super) struct Console {
    source: Option<BoxedInput>,
    leds: Leds,
}

/// Events that one poll moves at most; the rest comes with the next. No guest reads more at once.
const EVENTS: usize = 64;

impl Board {
    /// Connects keyboard and pointer to where input comes from.
    pub fn connect_input(&mut self, input: BoxedInput) {
        self.console = Console {
            source: Some(input),
            leds: Leds::empty(),
        };
    }

    /// A dword IN from port 5658h ([`crate::vmmouse::PORT`]): the registers after it, or `None` if it is to be completed as
    /// any IN, which then reads all ones.
    pub fn vmware_request(&mut self, registers: Registers) -> Option<Registers> {
        self.vmmouse.request(registers)
    }

    /// Moves what was typed and pointed into the devices, as far as they take it. Whether anything came.
    pub(super) fn take_input(&mut self, context: &mut Context<'_>) -> bool {
        let Some(source) = &mut self.console.source else {
            return false;
        };
        let mut came = false;
        for _ in 0..EVENTS {
            if !self.kbc.takes_keys() {
                break;
            }
            let Some(event) = source.next_key() else {
                break;
            };
            self.kbc.key(event, context.now);
            came = true;
        }
        for _ in 0..EVENTS {
            let absolute = self.vmmouse.is_on();
            let room = if absolute {
                self.vmmouse.has_room()
            } else {
                self.kbc.takes_pointer()
            };
            if !room {
                break;
            }
            let Some(event) = source.next_pointer() else {
                break;
            };
            came = true;
            if absolute {
                self.vmmouse.pointer(event);
                self.kbc.nudge_mouse();
            } else {
                self.kbc.pointer(event);
            }
        }
        came
    }

    /// Works on the keyboard controller. Between an empty buffer and the next byte in it the lines go down: each byte is an edge.
    pub(super) fn with_kbc<R>(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> R,
    ) -> R {
        self.kbc.advance(context.now);
        let result = work(self, context);
        self.drive_kbc(context);
        self.take_input(context);
        self.advance_kbc(context);
        self.note_timers();
        result
    }

    /// Brings the controller to now and its outputs onto the lines.
    pub(super) fn advance_kbc(&mut self, context: &mut Context<'_>) {
        self.kbc.advance(context.now);
        self.drive_kbc(context);
        self.show_leds();
    }

    fn drive_kbc(&mut self, context: &mut Context<'_>) {
        for (irq, level) in [
            (KEYBOARD_IRQ, self.kbc.keyboard_interrupt()),
            (MOUSE_IRQ, self.kbc.mouse_interrupt()),
        ] {
            self.interrupts
                .drive(irq, Source::Isa, level, context.signals);
        }
    }

    fn show_leds(&mut self) {
        let leds = self.kbc.leds();
        if leds == self.console.leds {
            return;
        }
        self.console.leds = leds;
        if let Some(source) = &mut self.console.source {
            source.set_leds(leds);
        }
    }
}
