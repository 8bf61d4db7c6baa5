//! The 8042 keyboard controller with a PS/2 keyboard and mouse behind it.
//!
//! [`Controller::probe`] finds out what is there, and with a bound on every wait; afterwards no method waits. Bytes are handed on
//! as they come: what they mean is the decoder's affair.

pub mod bits;
#[cfg(test)]
mod tests;

use crate::ports::Ports;
use bits::{Configuration, DATA, NOBODY, STATUS, Status, WHEEL_ID, WHEEL_KNOCK, command, device};

/// How often the status is read for a device to answer: a keyboard may take 20 ms for it, a port read on the ISA bus about 1 µs.
const POLLS: u32 = 50_000;
/// Bytes that may wait before we come.
const STALE_BYTES: usize = 32;

/// Who sent a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The keyboard, in set 1.
    Keyboard,
    /// The mouse.
    Mouse,
}

/// The mouse that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mouse {
    /// None.
    Absent,
    /// Its packets have three bytes.
    Plain,
    /// They have four: there is a wheel.
    Wheel,
}

/// A controller that was found. The keyboard may be plugged in later; a mouse has to be there from the start.
pub struct Controller<P> {
    ports: P,
    mouse: Mouse,
    /// Lamps that the keyboard is told once it has acknowledged the command.
    leds: Option<u8>,
}

impl<P: Ports> Controller<P> {
    /// Looks for a controller and sets it up: both devices report, each with its interrupt. `None` if there is none.
    pub fn probe(ports: P) -> Option<Self> {
        let mut controller = Self {
            ports,
            mouse: Mouse::Absent,
            leds: None,
        };
        if controller.ports.read_u8(STATUS) == NOBODY {
            return None;
        }
        controller.command(command::DISABLE_KEYBOARD)?;
        controller.command(command::DISABLE_AUXILIARY)?;
        for _ in 0..STALE_BYTES {
            if controller.read().is_none() {
                break;
            }
        }
        controller.command(command::READ_CONFIGURATION)?;
        let found = Configuration::from_bits_retain(controller.wait()?);
        let quiet = found - Configuration::KEYBOARD_INTERRUPT - Configuration::AUXILIARY_INTERRUPT;
        controller.configure(quiet | Configuration::TRANSLATE)?;
        controller.start_keyboard();
        controller.mouse = controller.start_mouse().unwrap_or(Mouse::Absent);
        let mut wanted = quiet | Configuration::TRANSLATE | Configuration::KEYBOARD_INTERRUPT;
        wanted -= Configuration::KEYBOARD_DISABLED;
        if controller.mouse != Mouse::Absent {
            wanted |= Configuration::AUXILIARY_INTERRUPT;
            wanted -= Configuration::AUXILIARY_DISABLED;
        }
        controller.configure(wanted)?;
        Some(controller)
    }

    /// The mouse that was found.
    pub fn mouse(&self) -> Mouse {
        self.mouse
    }

    /// The next byte, if any. Its interrupt comes again only after all have been read.
    pub fn read(&mut self) -> Option<(Source, u8)> {
        let status = self.status();
        if !status.contains(Status::OUTPUT_FULL) || status.bits() == NOBODY {
            return None;
        }
        let byte = self.ports.read_u8(DATA);
        if status.contains(Status::FROM_AUXILIARY) {
            return Some((Source::Mouse, byte));
        }
        if byte == device::ACKNOWLEDGE
            && let Some(leds) = self.leds.take()
        {
            self.ports.write_u8(DATA, leds);
        }
        Some((Source::Keyboard, byte))
    }

    /// Sets the keyboard's lamps, as its command takes them.
    pub fn set_leds(&mut self, leds: u8) {
        self.leds = Some(leds);
        self.ports.write_u8(DATA, device::SET_LEDS);
    }

    /// No keyboard is no error: some boards have a controller and USB keyboards alone.
    fn start_keyboard(&mut self) {
        if self.command(command::ENABLE_KEYBOARD).is_some()
            && self.tell_keyboard(device::SET_DEFAULTS).is_some()
        {
            let _ = self.tell_keyboard(device::ENABLE);
        }
    }

    fn start_mouse(&mut self) -> Option<Mouse> {
        self.command(command::ENABLE_AUXILIARY)?;
        self.tell_mouse(device::SET_DEFAULTS)?;
        for rate in WHEEL_KNOCK {
            self.tell_mouse(device::SET_RATE)?;
            self.tell_mouse(rate)?;
        }
        self.tell_mouse(device::IDENTIFY)?;
        let mouse = match self.wait()? {
            WHEEL_ID => Mouse::Wheel,
            _ => Mouse::Plain,
        };
        self.tell_mouse(device::ENABLE)?;
        Some(mouse)
    }

    fn configure(&mut self, configuration: Configuration) -> Option<()> {
        self.command(command::WRITE_CONFIGURATION)?;
        self.send(configuration.bits())
    }

    fn tell_keyboard(&mut self, byte: u8) -> Option<()> {
        self.send(byte)?;
        self.acknowledged()
    }

    fn tell_mouse(&mut self, byte: u8) -> Option<()> {
        self.command(command::TO_AUXILIARY)?;
        self.send(byte)?;
        self.acknowledged()
    }

    /// Keys that are pressed meanwhile, and what a device says of its own start, come before the answer.
    fn acknowledged(&mut self) -> Option<()> {
        (0..STALE_BYTES)
            .find_map(|_| match self.wait() {
                Some(device::ACKNOWLEDGE) => Some(Some(())),
                Some(_) => None,
                None => Some(None),
            })
            .flatten()
    }

    fn command(&mut self, byte: u8) -> Option<()> {
        self.has_room()?;
        self.ports.write_u8(STATUS, byte);
        Some(())
    }

    fn send(&mut self, byte: u8) -> Option<()> {
        self.has_room()?;
        self.ports.write_u8(DATA, byte);
        Some(())
    }

    fn has_room(&mut self) -> Option<()> {
        (0..POLLS)
            .any(|_| !self.status().contains(Status::INPUT_FULL))
            .then_some(())
    }

    /// The next byte, awaited.
    fn wait(&mut self) -> Option<u8> {
        (0..POLLS)
            .any(|_| self.status().contains(Status::OUTPUT_FULL))
            .then(|| self.ports.read_u8(DATA))
    }

    fn status(&mut self) -> Status {
        Status::from_bits_retain(self.ports.read_u8(STATUS))
    }
}
