//! The keyboard controller: an 8042 with the PS/2's auxiliary port, and the devices behind it (IBM PS/2 Hardware Interface Technical
//! Reference, "Keyboard and auxiliary device controller").
//!
//! [`Kbc`] guarantees: a byte stays in the output buffer until it is read, and stays readable after that until the next one
//! comes; answers come at once, scan codes and movements at the speed of the serial lines, so that a chain of interrupt
//! handlers which each read the same scan code work; both interrupt lines follow from what the buffer holds.

mod bits;
#[cfg(test)]
mod tests;
pub(crate) mod translate;

use crate::a20::A20;
use crate::ps2::{Keyboard, Mouse, Pending};
use crate::saved;
use alloc::vec::Vec;
use bits::*;
use hvm::Instant;
use hvm::device::{Lifecycle, PowerEvent, RestoreError, Signals};
use hvm::input::{KeyEvent, Leds, PointerEvent};
use serde::{Deserialize, Serialize};
use translate::Translator;

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// Bytes of internal RAM that commands reach; byte 0 is the command byte.
const RAM_BYTES: usize = 32;
/// A byte on the serial line: 11 bits at 16.7 kHz, the fastest clock that devices may use.
const BYTE_NS: u64 = 660_000;

/// Whose byte it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    /// The keyboard's, or the controller's own.
    Keyboard,
    /// The auxiliary device's.
    Aux,
}

/// A byte on its way to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Output {
    byte: u8,
    source: Source,
}

/// A command whose argument comes through port 60h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Awaited {
    Ram(u8),
    Password,
    OutputPort,
    KeyboardBuffer,
    AuxBuffer,
    Aux,
}

/// Where a read of the status port takes bits 4 to 7 from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StatusHigh {
    Status,
    /// A poll of the input port put them there.
    Input(u8),
}

/// The controller and both devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kbc {
    ram: [u8; RAM_BYTES],
    /// The output buffer's last byte; full if `full` says whose it is.
    data: u8,
    full: Option<Source>,
    /// The controller's own answer, while the buffer is taken.
    answer: Option<Output>,
    awaited: Option<Awaited>,
    /// The last write went to the command port.
    command_last: bool,
    status_high: StatusHigh,
    translator: Translator,
    /// No scan code or movement arrives before.
    line_busy: Instant,
    keyboard: Keyboard,
    mouse: Mouse,
}

impl Default for Kbc {
    fn default() -> Self {
        Self::new()
    }
}

impl Kbc {
    /// As PC firmware leaves it: the keyboard interrupts, its codes are translated, the pointer is off.
    pub fn new() -> Self {
        let mut ram = [0; RAM_BYTES];
        ram[0] = FIRMWARE_COMMAND_BYTE;
        Self {
            ram,
            data: 0,
            full: None,
            answer: None,
            awaited: None,
            command_last: false,
            status_high: StatusHigh::Status,
            translator: Translator::default(),
            line_busy: Instant::ZERO,
            keyboard: Keyboard::new(),
            mouse: Mouse::new(),
        }
    }

    /// Reads port 64h.
    pub fn read_status(&mut self) -> u8 {
        let full = match self.full {
            None => 0,
            Some(Source::Keyboard) => STATUS_OUTPUT_FULL,
            Some(Source::Aux) => STATUS_OUTPUT_FULL | STATUS_AUX,
        };
        let system = if self.ram[0] & SYSTEM_FLAG != 0 {
            STATUS_SYSTEM
        } else {
            0
        };
        let command = if self.command_last { STATUS_COMMAND } else { 0 };
        let status = full | system | command | STATUS_UNLOCKED;
        match self.status_high {
            StatusHigh::Status => status,
            StatusHigh::Input(bits) => status & 0xf | bits,
        }
    }

    /// Reads port 60h, which empties the output buffer.
    pub fn read_data(&mut self, now: Instant) -> u8 {
        if self.full.take().is_some() {
            self.line_busy = now + BYTE_NS;
        }
        self.data
    }

    /// Writes port 64h.
    pub fn write_command(&mut self, value: u8, a20: &mut A20, signals: &mut dyn Signals) {
        self.command_last = true;
        self.awaited = None;
        self.status_high = StatusHigh::Status;
        match value {
            READ_RAM..=READ_RAM_LAST => {
                self.answer(self.ram[usize::from(value) % RAM_BYTES]);
            }
            WRITE_RAM..=WRITE_RAM_LAST => {
                self.awaited = Some(Awaited::Ram(value % RAM_BYTES as u8));
            }
            TEST_PASSWORD => self.answer(NO_PASSWORD),
            LOAD_PASSWORD => self.awaited = Some(Awaited::Password),
            DISABLE_AUX => self.ram[0] |= AUX_DISABLED,
            ENABLE_AUX => self.ram[0] &= !AUX_DISABLED,
            TEST_AUX | TEST_KEYBOARD => self.answer(INTERFACE_PASSED),
            SELF_TEST => {
                self.ram[0] |= SYSTEM_FLAG;
                self.answer(SELF_TEST_PASSED);
            }
            DISABLE_KEYBOARD => self.ram[0] |= KEYBOARD_DISABLED,
            ENABLE_KEYBOARD => self.ram[0] &= !KEYBOARD_DISABLED,
            READ_INPUT_PORT => self.answer(INPUT_PORT),
            POLL_INPUT_LOW => self.status_high = StatusHigh::Input(INPUT_PORT << 4),
            POLL_INPUT_HIGH => self.status_high = StatusHigh::Input(INPUT_PORT & 0xf0),
            READ_OUTPUT_PORT => self.answer(self.output_port(*a20)),
            WRITE_OUTPUT_PORT => self.awaited = Some(Awaited::OutputPort),
            WRITE_KEYBOARD_BUFFER => self.awaited = Some(Awaited::KeyboardBuffer),
            WRITE_AUX_BUFFER => self.awaited = Some(Awaited::AuxBuffer),
            WRITE_AUX => self.awaited = Some(Awaited::Aux),
            MASK_A20 => *a20 = A20::Masked,
            OPEN_A20 => *a20 = A20::Open,
            READ_TEST_INPUTS => self.answer(TEST_INPUTS),
            PULSE.. if value & OUTPUT_RUN == 0 => signals.power(PowerEvent::Reset),
            // Unknown to the PS/2's firmware: taken and forgotten.
            _ => {}
        }
    }

    /// Writes port 60h: the argument of a command, or a byte for the keyboard.
    pub fn write_data(&mut self, value: u8, a20: &mut A20, signals: &mut dyn Signals) {
        self.command_last = false;
        match self.awaited.take() {
            None => {
                // A byte for the keyboard starts its clock.
                self.ram[0] &= !KEYBOARD_DISABLED;
                self.keyboard.receive(value);
            }
            Some(Awaited::Ram(index)) => {
                if let Some(byte) = self.ram.get_mut(usize::from(index)) {
                    *byte = value;
                }
            }
            // A password ends with 0; it is never asked for.
            Some(Awaited::Password) if value != 0 => self.awaited = Some(Awaited::Password),
            Some(Awaited::Password) => {}
            Some(Awaited::OutputPort) => {
                *a20 = A20::from_bit(value, OUTPUT_A20);
                if value & OUTPUT_RUN == 0 {
                    signals.power(PowerEvent::Reset);
                }
            }
            Some(Awaited::KeyboardBuffer) => self.answer(value),
            Some(Awaited::AuxBuffer) => self.put(Output {
                byte: value,
                source: Source::Aux,
            }),
            Some(Awaited::Aux) => {
                self.ram[0] &= !AUX_DISABLED;
                self.mouse.receive(value);
            }
        }
    }

    /// A key moved.
    pub fn key(&mut self, event: KeyEvent, now: Instant) {
        self.keyboard.key(event, now);
    }

    /// True if the keyboard has room for what a key sends, or is held off and loses it as the real one does.
    pub fn takes_keys(&self) -> bool {
        self.ram[0] & KEYBOARD_DISABLED != 0 || self.keyboard.has_room()
    }

    /// The pointer did something.
    pub fn pointer(&mut self, event: PointerEvent) {
        self.mouse.pointer(event);
    }

    /// True unless a click waits to be told. A pointer that is off takes everything, and forgets it.
    pub fn takes_pointer(&self) -> bool {
        self.ram[0] & AUX_DISABLED != 0 || self.mouse.has_room()
    }

    /// Makes the mouse report although it did not move.
    pub fn nudge_mouse(&mut self) {
        self.mouse.nudge();
    }

    /// The keyboard's lamps.
    pub fn leds(&self) -> Leds {
        self.keyboard.leds()
    }

    /// The level of IRQ 1.
    pub fn keyboard_interrupt(&self) -> bool {
        self.full == Some(Source::Keyboard) && self.ram[0] & KEYBOARD_INTERRUPT != 0
    }

    /// The level of IRQ 12.
    pub fn mouse_interrupt(&self) -> bool {
        self.full == Some(Source::Aux) && self.ram[0] & AUX_INTERRUPT != 0
    }

    /// Lets time pass: what is due moves into the output buffer if that is empty.
    pub fn advance(&mut self, now: Instant) {
        self.keyboard.advance(now);
        self.mouse.advance(now);
        if self.full.is_some() {
            return;
        }
        if let Some(output) = self.answer.take() {
            self.put(output);
        } else if self.arrives(self.keyboard_pending(), now) {
            self.take_keyboard();
        } else if self.arrives(self.aux_pending(), now)
            && let Some(byte) = self.mouse.next_byte()
        {
            self.put(Output {
                byte,
                source: Source::Aux,
            });
        }
    }

    /// When [`Kbc::advance`] has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        if self.full.is_some() {
            return None;
        }
        let waiting = [self.keyboard_pending(), self.aux_pending()]
            .contains(&Some(Pending::Report))
            .then_some(self.line_busy);
        [waiting, self.keyboard.deadline(), self.mouse.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn arrives(&self, pending: Option<Pending>, now: Instant) -> bool {
        match pending {
            None => false,
            Some(Pending::Reply) => true,
            Some(Pending::Report) => now >= self.line_busy,
        }
    }

    fn keyboard_pending(&self) -> Option<Pending> {
        self.keyboard
            .pending()
            .filter(|_| self.ram[0] & KEYBOARD_DISABLED == 0)
    }

    fn aux_pending(&self) -> Option<Pending> {
        self.mouse
            .pending()
            .filter(|_| self.ram[0] & AUX_DISABLED == 0)
    }

    /// The next byte of the keyboard that means something: a break prefix alone does not, when translated.
    fn take_keyboard(&mut self) {
        while let Some(byte) = self.keyboard.next_byte() {
            let byte = if self.ram[0] & TRANSLATE != 0 {
                self.translator.translate(byte)
            } else {
                Some(byte)
            };
            if let Some(byte) = byte {
                self.put(Output {
                    byte,
                    source: Source::Keyboard,
                });
                return;
            }
        }
    }

    /// The controller's own answer.
    fn answer(&mut self, byte: u8) {
        self.put(Output {
            byte,
            source: Source::Keyboard,
        });
    }

    /// Puts a byte into the output buffer, or behind the one that is in it.
    fn put(&mut self, output: Output) {
        if self.full.is_some() {
            self.answer = Some(output);
        } else {
            self.data = output.byte;
            self.full = Some(output.source);
        }
    }

    fn output_port(&self, a20: A20) -> u8 {
        let irq1 = if self.keyboard_interrupt() {
            OUTPUT_IRQ1
        } else {
            0
        };
        let irq12 = if self.mouse_interrupt() {
            OUTPUT_IRQ12
        } else {
            0
        };
        let idle_lines = OUTPUT_AUX_LINES | OUTPUT_KEYBOARD_LINES;
        OUTPUT_RUN | a20.to_bit(OUTPUT_A20) | irq1 | irq12 | idle_lines
    }
}

impl Lifecycle for Kbc {
    fn kind(&self) -> &'static str {
        "kbc"
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let state: Self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        *self = Self {
            keyboard: state.keyboard.sanitize(),
            mouse: state.mouse.sanitize(),
            ..state
        };
        Ok(())
    }
}
