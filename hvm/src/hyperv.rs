//! Hyper-V's interface to guests, as far as it is offered: what its CPUID leaves say, and the page by which guests tell the time without
//! an exit. (Hypervisor Top Level Functional Specification, version 6.0b: "TLFS".)

pub mod bits;
mod leaves;
mod page;

pub(crate) use leaves::{SIGNATURE, leaves};
pub use page::{PAGE_BYTES, ReferenceTime, UNITS_PER_S};

use crate::cpuid::{Source, Vendor};
use bitflags::bitflags;

bitflags! {
    /// Parts of the interface. xl.cfg's `viridian` names most of them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Enlightenments: u32 {
        /// The hypervisor's identity, the hypercall page, and numbers of virtual processors: all else needs these.
        const BASE = 1 << 0;
        /// Registers that tell the rates of the time-stamp counter and of the local APIC's timer.
        const FREQUENCIES = 1 << 1;
        /// The counter of reference time.
        const TIME_REF_COUNT = 1 << 2;
        /// The page from which it can be computed.
        const REFERENCE_TSC = 1 << 3;
        /// Registers for what is written most to the local APIC, and an assist page for each virtual processor.
        const APIC = 1 << 4;
        /// A register by which a guest says that it knows of its counter's being invariant.
        const INVARIANT_TSC = 1 << 5;
    }
}

/// What the hypercall page begins with on a CPU like the host's.
pub fn hypercall_code(host: Source<'_>) -> [u8; 4] {
    match Vendor::of(host) {
        Vendor::Intel => bits::VMCALL_RET,
        Vendor::Amd => bits::VMMCALL_RET,
    }
}
