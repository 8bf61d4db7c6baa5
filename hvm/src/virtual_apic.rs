//! What a CPU that serves the guest's local APIC itself must be told, beside the registers in their page
//! ([`crate::apic::RegisterPage`], the virtual-APIC page of SDM vol. 3C, chapter 30).

use crate::Gpa;
use crate::apic::RegisterPage;

/// How the guest reaches its local APIC, as far as a CPU can serve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApicMode {
    /// By ways that software alone serves: the APIC is switched off.
    #[default]
    Software,
    /// By memory at this page: xAPIC mode.
    Memory(Gpa),
    /// By MSRs: x2APIC mode.
    Msrs,
}

/// What of the guest's local APIC the CPU serves.
#[derive(Clone, Copy, Debug, Default)]
pub enum Served {
    /// Nothing, or CR8 alone.
    #[default]
    Nothing,
    /// The task priority, by whatever way the guest reaches it: the guest changes it without an exit.
    Priority,
    /// Nearly all, from this page; interrupts are delivered without [`crate::vcpu::Vcpu::inject`].
    All(&'static RegisterPage),
}

/// What the CPU has to know beside the page to deliver interrupts (guest interrupt status and EOI-exit bitmap, SDM vol. 3C, 25.4.2
/// and 25.6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The highest vector requested (RVI), 0 for none.
    pub requested: u8,
    /// The highest vector in service (SVI), 0 for none.
    pub in_service: u8,
    /// The vectors whose EOI must be told to somebody else, 64 to the word.
    pub eoi_exits: [u64; 4],
}
