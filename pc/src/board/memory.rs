//! Who answers at a guest-physical address.

use super::Board;
use crate::hpet;
use crate::ioapic;
use hvm::device::Context;
use hvm::{Gpa, Width};

/// Where the I/O APIC is (82093AA data sheet, "Memory mapped registers").
pub const IOAPIC_BASE: Gpa = Gpa(0xfec0_0000);
/// Where the HPET is, by custom; the ACPI table says it.
pub const HPET_BASE: Gpa = Gpa(0xfed0_0000);

impl Board {
    /// Reads device memory; `None` if nothing on the board decodes the address.
    #[inline]
    pub fn mmio_read(&mut self, gpa: Gpa, width: Width, context: &mut Context<'_>) -> Option<u64> {
        if let Some(offset) = offset_in(gpa, IOAPIC_BASE, ioapic::WINDOW_BYTES) {
            self.settle(context);
            return Some(self.interrupts.ioapic.read(offset, width));
        }
        if let Some(offset) = offset_in(gpa, HPET_BASE, hpet::WINDOW_BYTES) {
            return Some(self.hpet.read(offset, width, context.now));
        }
        if let Some(value) = self.read_flash(gpa, width) {
            return Some(value);
        }
        let target = self.bus.find_memory(gpa.0)?;
        let value = self.bus.bar_read(target, width, context);
        self.drive_pirqs(context);
        Some(value)
    }

    /// Writes it; false if nothing decodes the address.
    #[inline]
    pub fn mmio_write(
        &mut self,
        gpa: Gpa,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) -> bool {
        if let Some(offset) = offset_in(gpa, IOAPIC_BASE, ioapic::WINDOW_BYTES) {
            self.settle(context);
            self.deadline_is_stale = true;
            self.interrupts
                .ioapic
                .write(offset, width, value, context.signals);
            return true;
        }
        if let Some(offset) = offset_in(gpa, HPET_BASE, hpet::WINDOW_BYTES) {
            self.hpet.write(offset, width, value, context.now);
            self.drive_hpet(context);
            self.advance_timers(context);
            return true;
        }
        if self.write_flash(gpa, width, value, context.memory) {
            return true;
        }
        let Some(target) = self.bus.find_memory(gpa.0) else {
            return false;
        };
        self.bus.bar_write(target, width, width.cut(value), context);
        self.drive_pirqs(context);
        true
    }
}

#[inline]
fn offset_in(gpa: Gpa, base: Gpa, bytes: u64) -> Option<u64> {
    let offset = gpa.0.wrapping_sub(base.0);
    (offset < bytes).then_some(offset)
}
