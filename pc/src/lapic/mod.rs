//! The local APIC of one virtual CPU, xAPIC and x2APIC (SDM vol. 3A, chapter 11; AMD's is the same but for ids).
//!
//! [`Lapic`] is owned by its vCPU and touched by nobody else. It guarantees: no allocation, no unbounded loop, and a
//! cached processor priority, so that an EOI or an interrupt command costs a few dozen instructions.
//!
//! What is left out, as on the part whose version register we show: SMI, the thermal and performance sources, lowest-priority
//! arbitration by bus messages (the sender's router picks by [`Lapic::priority`]), and focus processors.

mod accept;
mod address;
mod bits;
mod command;
mod msr;
mod page;
mod registers;
mod synthetic;
mod timer;
mod tsc;
mod vectors;

#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod tests;

pub use accept::Accepted;
pub use address::Address;
pub use msr::{GeneralProtection, IA32_APIC_BASE, IA32_TSC_DEADLINE};
pub use timer::{FREQUENCY_HZ, MIN_PERIOD_NS};
pub use tsc::TscClock;

use crate::saved;
use alloc::vec::Vec;
use bits::{
    BASE_ADDRESS, BASE_BSP, BASE_ENABLE, BASE_RESET_ADDRESS, BASE_X2APIC, LVT_DELIVERY, LVT_EXTINT,
    LVT_MASKED, LVT_NMI, SPURIOUS_ENABLE, SPURIOUS_RESET, lvt,
};
use hvm::device::{Lifecycle, RestoreError, Signals};
use hvm::{Gpa, Instant};
use serde::{Deserialize, Serialize};
use timer::{Mode, Timer};
use vectors::Vectors;

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// A local APIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lapic {
    id: u32,
    /// IA32_APIC_BASE.
    base: u64,
    irr: Vectors,
    isr: Vectors,
    tmr: Vectors,
    tpr: u8,
    /// Cache: follows from `tpr` and `isr`.
    ppr: u8,
    spurious: u32,
    /// LDR of xAPIC mode; in x2APIC mode it follows from the id.
    logical: u32,
    format: u32,
    command: u64,
    lvt: [u32; lvt::COUNT],
    /// The error status register as last written by software, and errors since.
    error_status: u8,
    errors: u8,
    timer: Timer,
}

impl Lapic {
    /// The local APIC with that id, as after power-up. The bootstrap processor's has the BSP flag.
    pub fn new(apic_id: u32, is_bsp: bool) -> Self {
        let mut lapic = Self {
            id: apic_id,
            base: if is_bsp { BASE_BSP } else { 0 },
            irr: Vectors::default(),
            isr: Vectors::default(),
            tmr: Vectors::default(),
            tpr: 0,
            ppr: 0,
            spurious: 0,
            logical: 0,
            format: 0,
            command: 0,
            lvt: [0; lvt::COUNT],
            error_status: 0,
            errors: 0,
            timer: Timer::default(),
        };
        lapic.reset();
        lapic
    }

    /// The APIC id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// True if this is the bootstrap processor's.
    pub fn is_bsp(&self) -> bool {
        self.base & BASE_BSP != 0
    }

    /// Where the register page is; `None` while the APIC is off or in x2APIC mode.
    pub fn mmio_base(&self) -> Option<Gpa> {
        (self.enabled() && !self.x2apic()).then_some(Gpa(self.base & BASE_ADDRESS))
    }

    /// What INIT does to the APIC (11.4.7.3): all but the id and IA32_APIC_BASE, so x2APIC mode stays (11.12.5.1).
    pub fn init(&mut self) {
        self.irr = Vectors::default();
        self.isr = Vectors::default();
        self.tmr = Vectors::default();
        self.tpr = 0;
        self.ppr = 0;
        self.spurious = SPURIOUS_RESET;
        self.logical = 0;
        self.format = u32::MAX;
        self.command = 0;
        self.lvt = [LVT_MASKED; lvt::COUNT];
        self.error_status = 0;
        self.errors = 0;
        self.timer = Timer::default();
    }

    /// What PC firmware sets up on the bootstrap processor before it starts an operating system: virtual wire mode
    /// (MultiProcessor Specification 1.4, 3.6.2.2), the 8259s through LINT0 and NMI on LINT1.
    pub fn set_virtual_wire(&mut self) {
        self.spurious = SPURIOUS_RESET | SPURIOUS_ENABLE;
        self.lvt[lvt::LINT0] = LVT_EXTINT;
        self.lvt[lvt::LINT1] = LVT_NMI;
    }

    /// The vector to deliver next: the highest requested one, if its class is above the processor priority.
    #[inline]
    pub fn pending(&self) -> Option<u8> {
        self.irr
            .highest()
            .filter(|vector| vector & 0xf0 > self.ppr & 0xf0)
    }

    /// Whether any vector is requested, be it held back or not.
    #[inline]
    pub fn has_requests(&self) -> bool {
        self.irr.highest().is_some()
    }

    /// The CPU took `vector`: it goes from requested to in service.
    #[inline]
    pub fn acknowledge(&mut self, vector: u8) {
        self.irr.clear(vector);
        self.isr.set(vector);
        self.update_priority();
    }

    /// The processor priority register, by which lowest-priority messages choose.
    #[inline]
    pub fn priority(&self) -> u8 {
        self.ppr
    }

    /// The task priority, as CR8 holds it times 16.
    #[inline]
    pub fn tpr(&self) -> u8 {
        self.tpr
    }

    /// Sets it; a MOV to CR8 sets `cr8 << 4`.
    #[inline]
    pub fn set_tpr(&mut self, tpr: u8) {
        self.tpr = tpr;
        self.update_priority();
    }

    /// True if the 8259 pair's output reaches this CPU: LINT0 is unmasked ExtINT, or the APIC is off and its pins are INTR
    /// and NMI again (11.4.3).
    #[inline]
    pub fn accepts_pic(&self) -> bool {
        let lint0 = self.lvt[lvt::LINT0];
        !self.enabled() || lint0 & (LVT_MASKED | LVT_DELIVERY) == LVT_EXTINT
    }

    /// True if an NMI on the LINT1 pin reaches this CPU.
    pub fn accepts_nmi_pin(&self) -> bool {
        let lint1 = self.lvt[lvt::LINT1];
        !self.enabled() || lint1 & (LVT_MASKED | LVT_DELIVERY) == LVT_NMI
    }

    /// The timer's LVT entry.
    pub fn timer_lvt(&self) -> u32 {
        self.lvt[lvt::TIMER]
    }

    /// When the timer next has an interrupt to bring. `None` if it is stopped or masked, or if its vector is requested
    /// already, for then nothing more can come of it; so ask again after [`Lapic::acknowledge`].
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        let entry = self.lvt[lvt::TIMER];
        if entry & LVT_MASKED != 0 || self.irr.contains(entry as u8) {
            return None;
        }
        self.timer.deadline()
    }

    /// Lets the timer reach `now`.
    #[inline]
    pub fn expire(&mut self, now: Instant) {
        let entry = self.lvt[lvt::TIMER];
        if self.timer.expire(Mode::from_lvt(entry), now) && entry & LVT_MASKED == 0 {
            self.request(entry as u8, hvm::apic::Trigger::Edge);
        }
    }

    #[inline]
    fn enabled(&self) -> bool {
        self.base & BASE_ENABLE != 0
    }

    #[inline]
    fn x2apic(&self) -> bool {
        self.base & BASE_X2APIC != 0
    }

    #[inline]
    fn software_enabled(&self) -> bool {
        self.spurious & SPURIOUS_ENABLE != 0
    }

    /// Ends the interrupt in service and tells the I/O APICs if it was level-triggered (11.8.5).
    #[inline]
    fn end_of_interrupt(&mut self, signals: &mut dyn Signals) {
        let Some(vector) = self.isr.highest() else {
            return;
        };
        self.isr.clear(vector);
        self.update_priority();
        if self.tmr.contains(vector) {
            signals.end_of_interrupt(vector);
        }
    }

    /// PPR is the higher of the task priority and the class in service (11.8.3.1).
    #[inline]
    fn update_priority(&mut self) {
        let in_service = self.isr.highest().unwrap_or(0) & 0xf0;
        self.ppr = if self.tpr & 0xf0 >= in_service {
            self.tpr
        } else {
            in_service
        };
    }

    /// Records an error and, if that is new, sends the error LVT's interrupt (11.5.3).
    #[cold]
    fn error(&mut self, bit: u8) {
        let fresh = self.errors & bit == 0;
        self.errors |= bit;
        let entry = self.lvt[lvt::ERROR];
        let vector = entry as u8;
        // An illegal vector here would be an error of its own, without end.
        if fresh && entry & LVT_MASKED == 0 && vector >= accept::FIRST_VECTOR {
            self.irr.set(vector);
            self.tmr.clear(vector);
        }
    }
}

impl Lifecycle for Lapic {
    fn kind(&self) -> &'static str {
        "lapic"
    }

    fn reset(&mut self) {
        self.base = self.base & BASE_BSP | BASE_ENABLE | BASE_RESET_ADDRESS;
        self.init();
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let mut state: Self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        if state.id != self.id {
            return Err(RestoreError(alloc::format!(
                "lapic: the saved state is of APIC id {}, this is {}",
                state.id,
                self.id
            )));
        }
        state.update_priority();
        *self = state;
        Ok(())
    }
}
