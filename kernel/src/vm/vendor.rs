//! What differs between the makes of hardware virtualization when a vCPU is made; afterwards there is only [`Vcpu`].

use super::host::cpuid;
use crate::mem::{frames, phys_to_virt};
use crate::time;
use alloc::string::String;
use core::ptr::NonNull;
use ept_npt::{Format, Level};
use guest_mem::Hpa;
use hvm::capability::{Features, NestedPaging};
use hvm::msr;
use hvm::vcpu::{Hlt, MsrAccess, TscAccess, Vcpu};

/// A make of hardware virtualization.
pub trait Vendor {
    /// Its virtual CPU.
    type Cpu: Vcpu;
    /// Its nested page tables.
    type Format: Format + Send + 'static;

    /// What its nested paging is called.
    const NESTED_PAGING: &'static str;

    /// The MSRs that guests have for themselves and that stay in the CPU across exits.
    fn live_msrs() -> impl Iterator<Item = u32>;

    /// Makes the CPU that runs this ready for vCPUs; what was done, for the report. The error is for people.
    ///
    /// # Safety
    /// The CPU offers the extension and nothing forbids its use. To be called once on each CPU.
    unsafe fn enable() -> Result<&'static str, String>;

    /// Makes a vCPU that uses no more than `features`.
    ///
    /// # Safety
    /// [`Vendor::enable`] succeeded on this CPU, which alone will run the vCPU; `features` are of this CPU.
    unsafe fn vcpu(features: &Features, hlt: Hlt) -> Result<Self::Cpu, String>;
}

/// The largest page of the nested tables.
pub fn largest_page(features: &Features) -> Level {
    match features.nested_paging {
        NestedPaging::Huge => Level::Huge,
        NestedPaging::Large | NestedPaging::Absent => Level::Large,
    }
}

/// A zeroed, physically contiguous piece of host memory for good, by its address and as we see it.
pub fn pages<T>() -> Result<(Hpa, NonNull<T>), String> {
    const { assert!(align_of::<T>() <= 4096) };
    let bytes = size_of::<T>().next_multiple_of(4096) as u64;
    let range = frames::alloc_zeroed(bytes)
        .ok_or("no host memory left for the vCPU's control structures")?;
    let base = Hpa(range.base);
    let pointer = NonNull::new(phys_to_virt(base)).expect("the direct map lies in the upper half");
    Ok((base, pointer.cast()))
}

/// Those of the MSRs that no vendor swaps at exits, as far as this CPU has them: TSC_AUX, SPEC_CTRL.
pub fn unswapped_msrs() -> impl Iterator<Item = u32> {
    has_rdtscp()
        .then_some(msr::TSC_AUX)
        .into_iter()
        .chain(has_spec_ctrl().then_some(msr::SPEC_CTRL))
}

fn has_rdtscp() -> bool {
    const RDTSCP: u32 = 1 << 27;
    cpuid(0x8000_0001, 0)[3] & RDTSCP != 0
}

/// A CPU that has no more than IBPB has only the command register.
fn has_spec_ctrl() -> bool {
    /// As below, without IBPB of the second.
    const CONTROL: (u32, u32) = (1 << 26 | 1 << 27 | 1 << 31, 1 << 14 | 1 << 15 | 1 << 24);
    cpuid(7, 0)[3] & CONTROL.0 != 0 || cpuid(0x8000_0008, 0)[1] & CONTROL.1 != 0
}

fn has_speculation_control() -> bool {
    /// Leaf 7 EDX: IBRS and IBPB, STIBP, SSBD; leaf 8000_0008h EBX: IBPB, IBRS, STIBP, SSBD.
    const SPECULATION: (u32, u32) = (
        1 << 26 | 1 << 27 | 1 << 31,
        1 << 12 | 1 << 14 | 1 << 15 | 1 << 24,
    );
    cpuid(7, 0)[3] & SPECULATION.0 != 0 || cpuid(0x8000_0008, 0)[1] & SPECULATION.1 != 0
}

/// Gives the guest the MSRs that it alone uses, and the time-stamp counter if that is good for it.
pub fn pass_through(cpu: &mut impl Vcpu, features: &Features) {
    cpu.set_tsc_access(if time::is_steady() {
        TscAccess::Native
    } else {
        TscAccess::Intercepted
    });
    let own_types = features.nested_paging != NestedPaging::Absent;
    let always = msr::PASS_THROUGH
        .iter()
        .chain(own_types.then_some(&msr::PAT));
    let optional = has_rdtscp().then_some(&msr::TSC_AUX).into_iter();
    let speculative = msr::SPECULATION
        .iter()
        .filter(|_| has_speculation_control());
    for &register in always.chain(optional).chain(speculative) {
        cpu.set_msr_access(register, MsrAccess::PassThrough);
    }
}
