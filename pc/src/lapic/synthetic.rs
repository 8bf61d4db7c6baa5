//! Hyper-V's registers for what is written most: they reach ours in any mode (TLFS, 10.2.2).

use super::Lapic;
use super::bits::{ICR_HIGH_WRITABLE, ICR_WRITABLE};
use hvm::device::Signals;

impl Lapic {
    /// The command register: the destination in the upper half, as the mode has it.
    pub fn command(&self) -> u64 {
        self.command
    }

    /// Writes it, and sends. Reserved bits are dropped.
    pub fn write_command(&mut self, value: u64, signals: &mut dyn Signals) {
        let low = value as u32 & ICR_WRITABLE;
        let high = (value >> 32) as u32;
        let (high, destination) = if self.x2apic() {
            (high, high)
        } else {
            (high & ICR_HIGH_WRITABLE, high >> 24)
        };
        self.command = u64::from(high) << 32 | u64::from(low);
        self.send(low, destination, signals);
    }

    /// Ends the interrupt in service.
    pub fn write_end_of_interrupt(&mut self, signals: &mut dyn Signals) {
        self.end_of_interrupt(signals);
    }
}
