//! The model and the virtual-APIC page, from which a CPU that can (VT-x's virtual-interrupt delivery) serves the guest
//! (SDM vol. 3C, chapter 30).
//!
//! While the guest runs, the page holds what the CPU may change: requests, interrupts in service, the task priority, and
//! in xAPIC mode the interrupt command. [`Lapic::hand_over`] gives these away, [`Lapic::take_back`] takes them. Between the
//! two the model goes on to take messages and timer interrupts ([`Lapic::accept`], [`Lapic::expire`]), to know its deadline,
//! its destinations and its local vector table; all else is to be asked after `take_back`.
//!
//! One difference from software remains: an interrupt that a CPU sends to itself leaves the trigger-mode bit of its vector alone
//! when the CPU serves it. A guest that sends itself a vector which also comes level-triggered sees one EOI too many at the
//! I/O APIC, which ignores it.

use super::Lapic;
use super::address::logical_x2apic;
use super::bits::*;
use super::vectors::Vectors;
use hvm::Instant;
use hvm::apic::RegisterPage;
use hvm::device::Signals;
use hvm::virtual_apic::{ApicMode, Delivery};

/// A register's place in the page.
const fn offset(number: u16) -> u16 {
    number << 4
}

/// The upper half of the 64-bit command register of x2APIC mode (SDM vol. 3C, 30.1.1).
const X2APIC_ICR_HIGH: u16 = offset(ICR_LOW) + 4;

impl Lapic {
    /// How the guest reaches this APIC. A software-disabled APIC drops what is sent to it, which CPUs do not know of when
    /// they serve it, so that state is left to software.
    #[inline]
    pub fn mode(&self) -> ApicMode {
        match self.mmio_base() {
            _ if !self.enabled() || !self.software_enabled() => ApicMode::Software,
            Some(base) => ApicMode::Memory(base),
            None => ApicMode::Msrs,
        }
    }

    /// Puts all registers into the page, and leaves it to the CPU to work on them.
    pub fn hand_over(&mut self, page: &RegisterPage) -> Delivery {
        for index in 0..8 {
            page.write(offset(IRR + index), self.irr.register(index));
            page.write(offset(ISR + index), self.isr.register(index));
            page.write(offset(TMR + index), self.tmr.register(index));
        }
        page.write(offset(TPR), u32::from(self.tpr));
        page.write(offset(PPR), u32::from(self.ppr));
        self.show_registers(page);
        let delivery = Delivery {
            requested: self.irr.highest().unwrap_or(0),
            in_service: self.isr.highest().unwrap_or(0),
            eoi_exits: self.tmr.words(),
        };
        // What comes from now on joins the page's when that is taken back.
        self.irr = Vectors::default();
        delivery
    }

    /// The registers that change by software alone, as the guest reads them.
    fn show_registers(&self, page: &RegisterPage) {
        let command_high = (self.command >> 32) as u32;
        if self.x2apic() {
            page.write(offset(ID), self.id);
            page.write(offset(LDR), logical_x2apic(self.id));
            page.write(X2APIC_ICR_HIGH, command_high);
        } else {
            page.write(offset(ID), self.id << 24);
            page.write(offset(LDR), self.logical);
            page.write(offset(DFR), self.format);
            page.write(offset(ICR_HIGH), command_high);
        }
        page.write(offset(VERSION), VERSION_VALUE);
        page.write(offset(SPURIOUS), self.spurious);
        page.write(offset(ESR), u32::from(self.error_status));
        page.write(offset(ICR_LOW), self.command as u32);
        for (number, &entry) in (LVT_TIMER..).zip(&self.lvt) {
            page.write(offset(number), entry);
        }
        page.write(offset(INITIAL_COUNT), self.timer.initial());
        page.write(offset(DIVIDE), self.timer.divide());
    }

    /// Takes back what [`Lapic::hand_over`] gave away, as the CPU left it, in the same mode.
    pub fn take_back(&mut self, page: &RegisterPage) {
        let vectors = |first| Vectors::from_registers(|index| page.read(offset(first + index)));
        self.irr = self.irr.union(vectors(IRR));
        self.isr = vectors(ISR);
        self.tpr = page.read(offset(TPR)) as u8;
        self.update_priority();
        // The CPU takes commands to the sender itself, and the destination, without an exit. In x2APIC mode there is
        // a register of its own for the former.
        if !self.x2apic() {
            let low = u64::from(page.read(offset(ICR_LOW)) & ICR_WRITABLE);
            let high = u64::from(page.read(offset(ICR_HIGH)) & ICR_HIGH_WRITABLE);
            self.command = high << 32 | low;
        }
    }

    /// The guest wrote to the page at `written`, and the CPU left it to software to act. After [`Lapic::take_back`].
    pub fn complete_write(
        &mut self,
        page: &RegisterPage,
        written: u16,
        now: Instant,
        signals: &mut dyn Signals,
    ) {
        let value = page.read(written);
        if self.x2apic() {
            // Only illegal vectors to itself come this way; all other MSRs exit before they are written
            // (SDM vol. 3C, 30.5).
            self.send_to_self(value as u8);
        } else {
            self.mmio_write(written & !3, value, now, signals);
        }
    }
}
