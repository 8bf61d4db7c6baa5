//! The three ports by which PC software resets the machine: CF9h, 92h and 64h.

use crate::saved;
use alloc::vec::Vec;
use hvm::device::{Lifecycle, PowerEvent, RestoreError, Signals};
use serde::{Deserialize, Serialize};

/// CF9h: kind of reset (82371SB data sheet, "Reset control register").
const RESET_HARD: u8 = 1 << 1;
/// CF9h: setting it resets.
const RESET_CPU: u8 = 1 << 2;
/// 92h: setting it resets the CPU.
const FAST_INIT: u8 = 1;
/// 92h: the A20 gate. Stored; our A20 is always open, as on every CPU since Haswell.
const FAST_A20: u8 = 1 << 1;
/// 64h: 8042 commands F0h…FFh pulse the output lines whose bits are clear; line 0 is the CPU's reset.
const PULSE: u8 = 0xf0;
const PULSE_NOT_RESET: u8 = 1;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// The reset ports. A soft reset is a hard one here: nothing is worth keeping across it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    control: u8,
    port_92: u8,
}

impl Default for Reset {
    fn default() -> Self {
        Self::new()
    }
}

impl Reset {
    /// As after reset, with A20 open.
    pub fn new() -> Self {
        Self {
            control: 0,
            port_92: FAST_A20,
        }
    }

    /// Reads port CF9h.
    pub fn read_control(&self) -> u8 {
        self.control
    }

    /// Writes port CF9h.
    pub fn write_control(&mut self, value: u8, signals: &mut dyn Signals) {
        let rises = value & !self.control & RESET_CPU != 0;
        self.control = value & (RESET_HARD | RESET_CPU);
        if rises {
            signals.power(PowerEvent::Reset);
        }
    }

    /// Reads port 92h.
    pub fn read_92(&self) -> u8 {
        self.port_92
    }

    /// Writes port 92h.
    pub fn write_92(&mut self, value: u8, signals: &mut dyn Signals) {
        let rises = value & !self.port_92 & FAST_INIT != 0;
        self.port_92 = value & (FAST_INIT | FAST_A20);
        if rises {
            signals.power(PowerEvent::Reset);
        }
    }

    /// Writes port 64h. There is no keyboard controller, but its reset pulse works: kernels try it before all else.
    pub fn write_64(&mut self, value: u8, signals: &mut dyn Signals) {
        if value & PULSE == PULSE && value & PULSE_NOT_RESET == 0 {
            signals.power(PowerEvent::Reset);
        }
    }
}

impl Lifecycle for Reset {
    fn kind(&self) -> &'static str {
        "reset"
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        *self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        Ok(())
    }
}
