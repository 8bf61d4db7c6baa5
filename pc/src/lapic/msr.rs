//! The MSRs: IA32_APIC_BASE, the x2APIC registers and IA32_TSC_DEADLINE (SDM vol. 3A, 11.4.4, 11.12 and 11.5.4.1).

use super::Lapic;
use super::bits::*;
use super::timer::Mode;
use super::tsc::TscClock;
use hvm::Instant;
use hvm::device::Signals;

/// MSR: mode and place of the local APIC.
pub const IA32_APIC_BASE: u32 = 0x1b;
/// MSR: when the timer fires in TSC-deadline mode.
pub const IA32_TSC_DEADLINE: u32 = 0x6e0;
/// First x2APIC MSR.
const X2APIC: u32 = 0x800;
/// Last one.
const X2APIC_LAST: u32 = 0x8ff;

/// The access raises #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

impl Lapic {
    /// True if `msr` belongs to the local APIC.
    #[inline]
    pub fn owns_msr(msr: u32) -> bool {
        matches!(
            msr,
            IA32_APIC_BASE | IA32_TSC_DEADLINE | X2APIC..=X2APIC_LAST
        )
    }

    /// RDMSR.
    #[inline]
    pub fn read_msr(&self, msr: u32, now: Instant) -> Result<u64, GeneralProtection> {
        match msr {
            IA32_APIC_BASE => Ok(self.base),
            IA32_TSC_DEADLINE => Ok(self.timer.tsc_deadline(now)),
            X2APIC..=X2APIC_LAST if self.x2apic() => match (msr - X2APIC) as u16 {
                ID => Ok(u64::from(self.id)),
                ICR_LOW => Ok(self.command),
                number => self
                    .read(number, now)
                    .map(u64::from)
                    .map_err(|_| GeneralProtection),
            },
            _ => Err(GeneralProtection),
        }
    }

    /// WRMSR.
    #[inline]
    pub fn write_msr(
        &mut self,
        msr: u32,
        value: u64,
        now: Instant,
        tsc: &TscClock,
        signals: &mut dyn Signals,
    ) -> Result<(), GeneralProtection> {
        match msr {
            IA32_APIC_BASE => self.write_base(value),
            IA32_TSC_DEADLINE => {
                // Outside TSC-deadline mode the write is dropped.
                if Mode::from_lvt(self.lvt[lvt::TIMER]) == Mode::TscDeadline {
                    self.timer.arm_deadline(value, tsc.instant(value, now));
                }
                Ok(())
            }
            X2APIC..=X2APIC_LAST if self.x2apic() => {
                self.write_x2apic((msr - X2APIC) as u16, value, now, signals)
            }
            _ => Err(GeneralProtection),
        }
    }

    /// The counter was written: a deadline that waits is met when the counter shows it, sooner or later than before.
    pub fn follow_tsc(&mut self, tsc: &TscClock, now: Instant) {
        let ticks = self.timer.tsc_deadline(now);
        if ticks != 0 && Mode::from_lvt(self.lvt[lvt::TIMER]) == Mode::TscDeadline {
            self.timer.arm_deadline(ticks, tsc.instant(ticks, now));
        }
    }

    /// An x2APIC register: reserved bits and read-only registers fault (11.12.1.3).
    #[inline]
    fn write_x2apic(
        &mut self,
        number: u16,
        value: u64,
        now: Instant,
        signals: &mut dyn Signals,
    ) -> Result<(), GeneralProtection> {
        let writable = match number {
            EOI | ESR => 0,
            ICR_LOW => 0xffff_ffff_0000_0000 | u64::from(ICR_WRITABLE),
            TPR | SELF_IPI => 0xff,
            SPURIOUS => u64::from(SPURIOUS_WRITABLE),
            LVT_TIMER..=LVT_ERROR => {
                // The remote-IRR and delivery-status bits are read-only: software writes back what it read.
                u64::from(lvt::WRITABLE[usize::from(number - LVT_TIMER)]) | 0x5000
            }
            INITIAL_COUNT => 0xffff_ffff,
            DIVIDE => u64::from(DIVIDE_WRITABLE),
            _ => return Err(GeneralProtection),
        };
        if value & !writable != 0 {
            return Err(GeneralProtection);
        }
        match number {
            EOI => self.end_of_interrupt(signals),
            ICR_LOW => {
                self.command = value;
                self.send(value as u32, (value >> 32) as u32, signals);
            }
            SELF_IPI => self.send_to_self(value as u8),
            number => {
                return self
                    .write(number, value as u32, now)
                    .map_err(|_| GeneralProtection);
            }
        }
        Ok(())
    }

    /// Mode changes (figure 11-27): off ↔ xAPIC, xAPIC → x2APIC, x2APIC → off; all others fault. Turning the APIC off
    /// loses its state (11.4.3).
    fn write_base(&mut self, value: u64) -> Result<(), GeneralProtection> {
        const MODE: u64 = BASE_ENABLE | BASE_X2APIC;
        if value & !(BASE_BSP | MODE | BASE_ADDRESS) != 0 {
            return Err(GeneralProtection);
        }
        let (old, new) = (self.base & MODE, value & MODE);
        match (old, new) {
            (_, BASE_X2APIC) | (0, MODE) | (MODE, BASE_ENABLE) => return Err(GeneralProtection),
            (_, 0) if old != 0 => self.init(),
            // ICR and LDR of xAPIC mode do not carry over (11.12.5.2).
            (BASE_ENABLE, MODE) => self.command &= 0xffff_ffff,
            _ => {}
        }
        self.base = self.base_fixed() | value & !BASE_BSP;
        Ok(())
    }
}
