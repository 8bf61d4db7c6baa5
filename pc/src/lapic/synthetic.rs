//! Ways to the registers that are written most: Hyper-V's own reach them in any mode (TLFS, 10.2.2), and an end of interrupt may be
//! told of by memory (10.3.5; KVM has the like).

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

    /// True if `vector` is in service, and nobody but this APIC has to know when it ends: nothing waits for it, and no I/O APIC does.
    #[inline]
    pub fn may_end_unseen(&self, vector: u8) -> bool {
        self.isr.highest() == Some(vector)
            && self.irr.highest().is_none()
            && !self.tmr.contains(vector)
    }

    /// Ends the interrupt in service, which [`Lapic::may_end_unseen`] was said of, and which the guest has ended meanwhile.
    #[inline]
    pub fn end_unseen(&mut self) {
        if let Some(vector) = self.isr.highest() {
            self.isr.clear(vector);
            self.update_priority();
        }
    }

    /// Ends the interrupt in service.
    pub fn write_end_of_interrupt(&mut self, signals: &mut dyn Signals) {
        self.end_of_interrupt(signals);
    }
}
