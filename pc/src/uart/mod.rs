//! A 16550A (National Semiconductor PC16550D data sheet) between the guest and a byte stream.
//!
//! [`Uart`] guarantees: bytes that the guest sends while THRE allowed it reach the back end, in order: THRE and TEMT stay
//! clear until the back end has taken them; bytes from the back end wait there while the receiver is full, so there is no
//! overrun but in loopback. The line has no speed: a byte is on its way at once, and the character timeout of the receiver
//! (four characters' time) has always passed.

mod bits;
mod fifo;
#[cfg(test)]
mod tests;

use crate::saved;
use alloc::vec::Vec;
use bits::*;
use fifo::Fifo;
use hvm::backend::BoxedBytes;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// The chip's registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Chip {
    interrupt_enable: u8,
    fifo_control: u8,
    line_control: u8,
    modem_control: u8,
    /// Change bits of the modem status.
    modem_changes: u8,
    overrun: bool,
    scratch: u8,
    divisor: u16,
    receive: Fifo,
    transmit: Fifo,
    /// The transmitter ran empty, or its interrupt was enabled while it was, and software was not told yet.
    thre_due: bool,
}

/// A serial port.
pub struct Uart {
    chip: Chip,
    backend: BoxedBytes,
    paused: bool,
}

impl Uart {
    /// A port in reset state before `backend`.
    pub fn new(backend: BoxedBytes) -> Self {
        Self {
            chip: Chip::default(),
            backend,
            paused: false,
        }
    }

    /// Reads register `offset` (0…7).
    pub fn read(&mut self, offset: u16) -> u8 {
        let value = match offset & 7 {
            DATA if self.chip.divisor_access() => self.chip.divisor as u8,
            DATA => self.chip.receive.pop().unwrap_or(0),
            IER if self.chip.divisor_access() => (self.chip.divisor >> 8) as u8,
            IER => self.chip.interrupt_enable,
            IIR_FCR => self.chip.read_identification(),
            LCR => self.chip.line_control,
            MCR => self.chip.modem_control,
            LSR => {
                // Software that waits for THRE by polling must see the back end become ready.
                self.drain();
                self.chip.read_line_status()
            }
            MSR => self.chip.read_modem_status(),
            _ => self.chip.scratch,
        };
        if offset & 7 == DATA {
            self.take_input();
        }
        value
    }

    /// Writes register `offset` (0…7).
    pub fn write(&mut self, offset: u16, value: u8) {
        let chip = &mut self.chip;
        match offset & 7 {
            DATA if chip.divisor_access() => {
                chip.divisor = chip.divisor & 0xff00 | u16::from(value)
            }
            DATA => self.transmit(value),
            IER if chip.divisor_access() => {
                chip.divisor = chip.divisor & 0xff | u16::from(value) << 8;
            }
            IER => chip.write_interrupt_enable(value & IER_WRITABLE),
            IIR_FCR => {
                chip.write_fifo_control(value);
                self.take_input();
            }
            LCR => chip.line_control = value,
            MCR => {
                chip.write_modem_control(value & MCR_WRITABLE);
                self.take_input();
            }
            // Line and modem status are read-only but for factory tests.
            LSR | MSR => {}
            _ => chip.scratch = value,
        }
    }

    /// The level of the interrupt line: on a PC, OUT2 gates it, and loopback holds OUT2 inactive.
    #[inline]
    pub fn interrupt(&self) -> bool {
        self.chip.modem_control & (MCR_OUT2 | MCR_LOOP) == MCR_OUT2
            && self.chip.identification() != IIR_NONE
    }

    /// Moves bytes between the queues and the back end, as far as both go.
    pub fn poll(&mut self) {
        self.take_input();
        self.drain();
    }

    /// The guest wrote the transmitter. A byte written against THRE into a full queue replaces the last one, as on the chip.
    fn transmit(&mut self, byte: u8) {
        let chip = &mut self.chip;
        chip.thre_due = false;
        if chip.modem_control & MCR_LOOP != 0 {
            chip.receive_looped(byte);
            chip.thre_due = true;
            return;
        }
        if chip.transmit.len() < chip.capacity() {
            chip.transmit.push(byte);
        } else {
            chip.transmit.replace_last(byte);
        }
        self.drain();
    }

    /// Transmitter to back end; running empty is what the THRE interrupt tells of.
    fn drain(&mut self) {
        if self.chip.transmit.is_empty() || self.paused {
            return;
        }
        while let Ok(true) = self.backend.write_ready() {
            let Some(byte) = self.chip.transmit.pop() else {
                self.chip.thre_due = true;
                return;
            };
            // A stream that said it was ready and yet takes nothing keeps us waiting, but loses nothing.
            let Ok(taken) = self.backend.write(&[byte]);
            if taken == 0 {
                self.chip.transmit.push_front(byte);
                return;
            }
        }
        if self.chip.transmit.is_empty() {
            self.chip.thre_due = true;
        }
    }

    /// Back end to receiver, while there is room.
    fn take_input(&mut self) {
        if self.paused || self.chip.modem_control & MCR_LOOP != 0 {
            return;
        }
        while self.chip.receive.len() < self.chip.capacity() {
            let Ok(true) = self.backend.read_ready() else {
                return;
            };
            let mut byte = [0];
            let Ok(count) = self.backend.read(&mut byte);
            if count == 0 {
                return;
            }
            self.chip.receive.push(byte[0]);
        }
    }
}

impl Chip {
    fn divisor_access(&self) -> bool {
        self.line_control & LCR_DLAB != 0
    }

    fn fifos_on(&self) -> bool {
        self.fifo_control & FCR_ENABLE != 0
    }

    /// Bytes that each queue holds now: without FIFOs, one.
    fn capacity(&self) -> u8 {
        if self.fifos_on() { fifo::CAPACITY } else { 1 }
    }

    /// The interrupt of highest priority (table IV), without the FIFO bits.
    fn identification(&self) -> u8 {
        let enabled = self.interrupt_enable;
        let received = self.receive.len();
        if enabled & IER_LINE != 0 && self.overrun {
            IIR_LINE
        } else if enabled & IER_DATA != 0 && received >= self.trigger() {
            IIR_DATA
        } else if enabled & IER_DATA != 0 && received != 0 {
            IIR_TIMEOUT
        } else if enabled & IER_THRE != 0 && self.thre_due {
            IIR_THRE
        } else if enabled & IER_MODEM != 0 && self.modem_changes != 0 {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    fn trigger(&self) -> u8 {
        if self.fifos_on() {
            FCR_TRIGGER[usize::from(self.fifo_control >> 6)]
        } else {
            1
        }
    }

    /// Reading IIR ends the THRE interrupt if that is the one it shows.
    fn read_identification(&mut self) -> u8 {
        let identification = self.identification();
        if identification == IIR_THRE {
            self.thre_due = false;
        }
        identification | if self.fifos_on() { IIR_FIFO } else { 0 }
    }

    /// Enabling the THRE interrupt with the transmitter empty raises it at once.
    fn write_interrupt_enable(&mut self, value: u8) {
        let enabled = value & !self.interrupt_enable;
        if enabled & IER_THRE != 0 && self.transmit.is_empty() {
            self.thre_due = true;
        }
        self.interrupt_enable = value;
    }

    /// Turning the FIFOs on or off empties them; the other bits count only while they are on.
    fn write_fifo_control(&mut self, value: u8) {
        let switched = (value ^ self.fifo_control) & FCR_ENABLE != 0;
        if switched || value & FCR_CLEAR_RECEIVE != 0 {
            self.receive.clear();
        }
        if switched || value & FCR_CLEAR_TRANSMIT != 0 {
            self.thre_due |= !self.transmit.is_empty();
            self.transmit.clear();
        }
        self.fifo_control = if value & FCR_ENABLE != 0 { value } else { 0 };
    }

    fn read_line_status(&mut self) -> u8 {
        let mut status = 0;
        if !self.receive.is_empty() {
            status |= LSR_DATA;
        }
        if core::mem::take(&mut self.overrun) {
            status |= LSR_OVERRUN;
        }
        if self.transmit.is_empty() {
            status |= LSR_THRE | LSR_TEMT;
        }
        status
    }

    fn read_modem_status(&mut self) -> u8 {
        self.modem_lines() | core::mem::take(&mut self.modem_changes)
    }

    /// Modem inputs: a ready peer, or the own outputs in loopback.
    fn modem_lines(&self) -> u8 {
        if self.modem_control & MCR_LOOP == 0 {
            return MSR_CTS | MSR_DSR | MSR_DCD;
        }
        [
            (MCR_DTR, MSR_DSR),
            (MCR_RTS, MSR_CTS),
            (MCR_OUT1, MSR_RI),
            (MCR_OUT2, MSR_DCD),
        ]
        .into_iter()
        .filter(|(output, _)| self.modem_control & output != 0)
        .fold(0, |lines, (_, input)| lines | input)
    }

    fn write_modem_control(&mut self, value: u8) {
        let before = self.modem_lines();
        self.modem_control = value;
        let now = self.modem_lines();
        let mut changes = (before ^ now) >> 4;
        if now & MSR_RI != 0 {
            changes &= !MSR_TERI;
        }
        self.modem_changes |= changes;
    }

    /// Loopback: the transmitter's byte arrives at the receiver.
    fn receive_looped(&mut self, byte: u8) {
        if self.receive.len() < self.capacity() {
            self.receive.push(byte);
            return;
        }
        self.overrun = true;
        if !self.fifos_on() {
            self.receive.replace_last(byte);
        }
    }
}

impl Lifecycle for Uart {
    fn kind(&self) -> &'static str {
        "uart"
    }

    /// Master reset (table I): the scratch and divisor registers keep their values.
    fn reset(&mut self) {
        self.chip = Chip {
            scratch: self.chip.scratch,
            divisor: self.chip.divisor,
            ..Chip::default()
        };
    }

    fn pause(&mut self) {
        self.paused = true;
    }

    fn resume(&mut self) {
        self.paused = false;
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, &self.chip)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        self.chip = saved::read(self.kind(), SAVED_VERSION, saved)?;
        Ok(())
    }
}
