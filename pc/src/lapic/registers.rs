//! The registers, by number, and the xAPIC page that shows them (SDM vol. 3A, table 11-1).

use super::Lapic;
use super::address::logical_x2apic;
use super::bits::*;
use super::timer::Mode;
use hvm::Instant;
use hvm::device::Signals;

/// There is no such register, or not for this kind of access.
pub(super) struct NoRegister;

impl Lapic {
    /// Reads the aligned dword at `offset` in the register page. Between registers, and where there is none, reads 0.
    /// `now` becomes a time only where a register has to do with it: most have not, and clocks cost something.
    #[inline]
    pub fn mmio_read(&mut self, offset: u16, now: impl Into<Instant>) -> u32 {
        if offset & 0xf != 0 {
            return 0;
        }
        match offset >> 4 {
            ID => self.id << 24,
            DFR => self.format,
            ICR_HIGH => (self.command >> 32) as u32,
            APR | EOI | RRD => 0,
            number => self.read(number, now).unwrap_or_else(|NoRegister| {
                self.error(ERROR_REGISTER);
                0
            }),
        }
    }

    /// Writes the aligned dword at `offset` in the register page; `now` as in [`Self::mmio_read`].
    #[inline]
    pub fn mmio_write(
        &mut self,
        offset: u16,
        value: u32,
        now: impl Into<Instant>,
        signals: &mut dyn Signals,
    ) {
        if offset & 0xf != 0 {
            return;
        }
        match offset >> 4 {
            EOI => self.end_of_interrupt(signals),
            ICR_LOW => {
                let low = value & ICR_WRITABLE;
                self.command = self.command & !0xffff_ffff | u64::from(low);
                self.send(low, (self.command >> 56) as u32, signals);
            }
            ICR_HIGH => {
                let high = u64::from(value & ICR_HIGH_WRITABLE);
                self.command = self.command & 0xffff_ffff | high << 32;
            }
            LDR => self.logical = value & 0xff00_0000,
            DFR => self.format = value | DFR_ONES,
            // Read-only: writes are dropped without an error.
            ID | VERSION | APR | PPR | RRD | ISR..=IRR_LAST | CURRENT_COUNT => {}
            number => {
                if let Err(NoRegister) = self.write(number, value, now) {
                    self.error(ERROR_REGISTER);
                }
            }
        }
    }

    /// Reads a register that is alike in both modes.
    #[inline]
    pub(super) fn read(&self, number: u16, now: impl Into<Instant>) -> Result<u32, NoRegister> {
        Ok(match number {
            VERSION => VERSION_VALUE,
            TPR => u32::from(self.tpr),
            PPR => u32::from(self.ppr),
            LDR if self.x2apic() => logical_x2apic(self.id),
            LDR => self.logical,
            SPURIOUS => self.spurious,
            ISR..=ISR_LAST => self.isr.register(number - ISR),
            TMR..=TMR_LAST => self.tmr.register(number - TMR),
            IRR..=IRR_LAST => self.irr.register(number - IRR),
            ESR => u32::from(self.error_status),
            ICR_LOW => self.command as u32,
            LVT_TIMER..=LVT_ERROR => self.lvt[usize::from(number - LVT_TIMER)],
            INITIAL_COUNT => self.timer.initial(),
            CURRENT_COUNT => self
                .timer
                .current(Mode::from_lvt(self.lvt[lvt::TIMER]), now.into()),
            DIVIDE => self.timer.divide(),
            _ => return Err(NoRegister),
        })
    }

    /// Writes a register that is alike in both modes. Reserved bits are dropped.
    #[inline]
    pub(super) fn write(
        &mut self,
        number: u16,
        value: u32,
        now: impl Into<Instant>,
    ) -> Result<(), NoRegister> {
        let mode = Mode::from_lvt(self.lvt[lvt::TIMER]);
        match number {
            TPR => self.set_tpr(value as u8),
            SPURIOUS => self.write_spurious(value & SPURIOUS_WRITABLE),
            ESR => {
                self.error_status = self.errors;
                self.errors = 0;
            }
            LVT_TIMER..=LVT_ERROR => {
                self.expire(now.into());
                self.write_lvt(usize::from(number - LVT_TIMER), value);
            }
            INITIAL_COUNT => self.timer.start(value, mode, now.into()),
            DIVIDE => {
                let now = now.into();
                self.expire(now);
                self.timer.set_divide(value & DIVIDE_WRITABLE, mode, now);
            }
            _ => return Err(NoRegister),
        }
        Ok(())
    }

    /// Software enable; turning it off masks the whole local vector table (11.4.7.2).
    fn write_spurious(&mut self, value: u32) {
        self.spurious = value;
        if !self.software_enabled() {
            for entry in &mut self.lvt {
                *entry |= LVT_MASKED;
            }
        }
    }

    fn write_lvt(&mut self, index: usize, value: u32) {
        let forced = if self.software_enabled() {
            0
        } else {
            LVT_MASKED
        };
        let old = self.lvt[index];
        let new = value & lvt::WRITABLE[index] | forced;
        self.lvt[index] = new;
        if index == lvt::TIMER {
            self.timer
                .change_mode(Mode::from_lvt(old), Mode::from_lvt(new));
        }
    }
}
