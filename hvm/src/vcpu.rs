//! The contract of a virtual CPU, implemented by `svm-core` and `vmx-core`.

use crate::apic::RegisterPage;
use crate::event::{Event, Shadow, Window};
use crate::exit::Exit;
use crate::regs::Registers;
use crate::virtual_apic::{ApicMode, Delivery};
use guest_mem::Hpa;

/// How accesses to a model-specific register are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrAccess {
    /// Reads and writes go to the CPU.
    PassThrough,
    /// Both exit.
    Intercept,
}

/// A virtual CPU on the physical CPU that calls it. All methods but [`Vcpu::run`] only read and write its control block.
pub trait Vcpu: Registers {
    /// Keeps host interrupts and NMIs out of hypervisor code. To be called once before a series of [`Vcpu::run`];
    /// what arrives meanwhile ends guest code with an exit.
    fn hold_host_interrupts(&mut self);

    /// Lets host interrupts and NMIs in again: pending ones are handled before this returns. The host's interrupt flag
    /// is set afterwards.
    fn admit_host_interrupts(&mut self);

    /// Runs guest code until something has to be done. Host interrupts are held.
    fn run(&mut self) -> Exit;

    /// Where the next instruction starts, where the CPU tells (next-RIP save, VM-exit instruction length). Otherwise
    /// the bytes at RIP must be looked at.
    fn next_rip(&self) -> Option<u64>;

    /// The bytes at RIP, where the CPU tells them with a nested page fault (decode assists) and tells all that an
    /// instruction can have.
    fn fetched_bytes(&self) -> Option<&[u8; 15]>;

    /// The event whose delivery this exit cut short, if any. To be asked once after every exit.
    fn interrupted_event(&mut self) -> Option<Event>;

    /// The interrupt shadow now.
    fn shadow(&self) -> Shadow;

    /// Sets it; the emulator ends it with the instruction that it completes.
    fn set_shadow(&mut self, shadow: Shadow);

    /// Has `event` delivered at the next entry.
    fn inject(&mut self, event: Event);

    /// Asks for an exit at `window`, or for none.
    fn set_window(&mut self, window: Option<Window>);

    /// The guest's task-priority register, as CR8 shows it (bits 7:4 of the TPR).
    fn cr8(&self) -> u8;

    /// Sets it.
    fn set_cr8(&mut self, priority: u8);

    /// Tells the CPU how the guest reaches its local APIC, so that it serves what it can. To be said before an entry whenever it
    /// may have changed; costs little if it has not. Without such help from the CPU, as by default, nothing comes of it.
    #[inline]
    fn set_apic_mode(&mut self, _mode: ApicMode) {}

    /// The page from which the CPU serves the guest's local APIC now, delivering its interrupts without
    /// [`Vcpu::inject`]. `None` if software does, as by default.
    #[inline]
    fn virtual_apic(&self) -> Option<&'static RegisterPage> {
        None
    }

    /// Tells the CPU what to deliver from [`Vcpu::virtual_apic`], whose contents agree with it.
    #[inline]
    fn set_delivery(&mut self, _delivery: Delivery) {}

    /// A debug register: 0 to 3, 6 or 7.
    fn debug(&self, index: u8) -> u64;

    /// Sets it.
    fn set_debug(&mut self, index: u8, value: u64);

    /// What is added to the host's TSC for the guest's.
    fn set_tsc_offset(&mut self, ticks: u64);

    /// The root of the nested page tables.
    fn set_nested_root(&mut self, root: Hpa);

    /// Drops what the TLB holds of the guest, before the next entry.
    fn flush_tlb(&mut self);

    /// How accesses to an MSR are treated; returns false if the CPU cannot pass it through.
    fn set_msr_access(&mut self, msr: u32, access: MsrAccess) -> bool;

    /// Puts everything but the registers of [`crate::regs::State`], which the caller sets next, to its reset values: the
    /// control block with what was asked of it (windows, shadow, TSC offset, CR8), and the state that the CPU holds
    /// outside it (x87, SSE, XCR0, debug registers). The nested root and MSR accesses stay.
    fn reset(&mut self);
}
