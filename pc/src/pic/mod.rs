//! The cascaded pair of 8259As and the edge/level control register, as in the PIIX3 (82371SB data sheet, "Interrupt controller registers").
//!
//! [`Pair`] keeps the level of its INTR output up to date, so that asking for it is one load. The unit tests next to the
//! chip cite the 8259A's own data sheet.

mod bits;
mod chip;
#[cfg(test)]
mod tests;

use crate::saved;
use alloc::vec::Vec;
use chip::Chip;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// The master's pin that the slave drives.
const CASCADE_PIN: u8 = 2;
/// Interrupts that are edge-triggered whatever ELCR says: 0, 1, 2, 8 and 13.
const ALWAYS_EDGE: u16 = 1 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 13;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// A register of the pair that ports reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// 20h: commands, request and service registers.
    MasterCommand,
    /// 21h: mask.
    MasterData,
    /// A0h.
    SlaveCommand,
    /// A1h.
    SlaveData,
    /// 4D0h: ELCR of IRQ 0…7.
    MasterElcr,
    /// 4D1h: ELCR of IRQ 8…15.
    SlaveElcr,
}

/// Two 8259As.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    master: Chip,
    slave: Chip,
    /// Level of INTR.
    output: bool,
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// As after power-up: nothing passes until initialized.
    pub fn new() -> Self {
        Self {
            master: Chip::new(1 << CASCADE_PIN),
            slave: Chip::new(0),
            output: false,
        }
    }

    /// Moves the request pin of IRQ 0…15; IRQ 2 is the cascade and has no pin.
    #[inline]
    pub fn set_line(&mut self, irq: u8, high: bool) {
        match irq {
            CASCADE_PIN => return,
            0..=7 => self.master.set_line(irq, high),
            8..=15 => self.slave.set_line(irq - 8, high),
            _ => return,
        }
        self.update();
    }

    /// The level of INTR.
    #[inline]
    pub fn output(&self) -> bool {
        self.output
    }

    /// True if IRQ 0…15 can reach the CPU: neither its own nor the cascade's mask bit is set.
    pub fn passes(&self, irq: u8) -> bool {
        let masks = u16::from_le_bytes([self.master.mask(), self.slave.mask()]);
        let cascade_masked = irq >= 8 && self.master.mask() & 1 << CASCADE_PIN != 0;
        irq < 16 && masks & 1 << irq == 0 && !cascade_masked
    }

    /// The CPU's interrupt-acknowledge cycle: the vector, spurious ones included.
    #[inline]
    pub fn acknowledge(&mut self) -> u8 {
        let mut answer = self.master.acknowledge();
        if answer.request == CASCADE_PIN {
            answer = self.slave.acknowledge();
            self.pulse_cascade();
        }
        self.update();
        answer.vector
    }

    /// Reads a register.
    #[inline]
    pub fn read(&mut self, register: Register) -> u8 {
        let (chip, a0) = match register {
            Register::MasterCommand => (&mut self.master, 0),
            Register::MasterData => (&mut self.master, 1),
            Register::SlaveCommand => (&mut self.slave, 0),
            Register::SlaveData => (&mut self.slave, 1),
            Register::MasterElcr => return self.master.level(),
            Register::SlaveElcr => return self.slave.level(),
        };
        match chip.poll() {
            Some(word) => {
                self.pulse_cascade();
                self.update();
                word
            }
            None => chip.read(a0),
        }
    }

    /// Writes a register.
    #[inline]
    pub fn write(&mut self, register: Register, value: u8) {
        let [edge_low, edge_high] = ALWAYS_EDGE.to_le_bytes();
        match register {
            Register::MasterCommand => self.master.write(0, value),
            Register::MasterData => self.master.write(1, value),
            Register::SlaveCommand => {
                self.slave.write(0, value);
                self.pulse_cascade();
            }
            Register::SlaveData => self.slave.write(1, value),
            Register::MasterElcr => self.master.set_level(value & !edge_low),
            Register::SlaveElcr => self.slave.set_level(value & !edge_high),
        }
        self.update();
    }

    /// The slave drops INT after an acknowledge or a command and raises it again for what is still there: an edge to the master.
    fn pulse_cascade(&mut self) {
        self.master.set_line(CASCADE_PIN, false);
    }

    /// Carries the slave's output to the master and the master's to INTR.
    #[inline]
    fn update(&mut self) {
        self.master
            .set_line(CASCADE_PIN, self.slave.winner().is_some());
        self.output = self.master.winner().is_some();
    }
}

impl Lifecycle for Pair {
    fn kind(&self) -> &'static str {
        "pic"
    }

    /// The request pins are the board's and stay.
    fn reset(&mut self) {
        let lines = u16::from_le_bytes([self.master.lines(), self.slave.lines()]);
        *self = Self::new();
        for irq in 0..16 {
            self.set_line(irq, lines & 1 << irq != 0);
        }
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let state: Self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        *self = Self {
            master: state.master.sanitize(),
            slave: state.slave.sanitize(),
            output: false,
        };
        self.update();
        Ok(())
    }
}
