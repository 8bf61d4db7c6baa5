//! The two ports of the chipset by which PC software resets the machine: CF9h and 92h. (The third way, the pulse at 64h, is the
//! keyboard controller's.)

use crate::a20::A20;
use crate::saved;
use alloc::vec::Vec;
use hvm::device::{Lifecycle, PowerEvent, RestoreError, Signals};
use serde::{Deserialize, Serialize};

/// CF9h: kind of reset (82371SB data sheet, "Reset control register").
const RESET_HARD: u8 = 1 << 1;
/// CF9h: setting it resets.
const RESET_CPU: u8 = 1 << 2;
/// 92h, "System control port A" of the PS/2 technical reference: setting it resets the CPU.
const FAST_INIT: u8 = 1;
/// 92h: the A20 gate.
const FAST_A20: u8 = 1 << 1;
/// 92h: the security lock of the CMOS password; once set, only power-on clears it.
const SECURITY_LOCK: u8 = 1 << 3;
/// 92h: the two lamps of the fixed disks, stored and read back.
const DISK_LAMPS: u8 = 0b11 << 6;
/// Version of the saved state.
const SAVED_VERSION: u16 = 2;

/// The reset ports. A soft reset is a hard one here: nothing is worth keeping across it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    control: u8,
    /// Port 92h less its A20 bit, which is the wire's.
    port_92: u8,
}

impl Reset {
    /// As after reset.
    pub fn new() -> Self {
        Self::default()
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
    pub fn read_92(&self, a20: A20) -> u8 {
        self.port_92 | a20.to_bit(FAST_A20)
    }

    /// Writes port 92h. Watchdog status (bit 4) is read-only, the other bits are reserved.
    pub fn write_92(&mut self, value: u8, a20: &mut A20, signals: &mut dyn Signals) {
        let rises = value & !self.port_92 & FAST_INIT != 0;
        let locked = self.port_92 & SECURITY_LOCK;
        self.port_92 = value & (FAST_INIT | SECURITY_LOCK | DISK_LAMPS) | locked;
        *a20 = A20::from_bit(value, FAST_A20);
        if rises {
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
