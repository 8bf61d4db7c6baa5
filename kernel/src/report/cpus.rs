//! What each CPU offers, seen from that CPU: CPUID and MSRs may differ, and firmware may have locked some and not others.

use crate::smp;
use alloc::vec::Vec;
use core::arch::x86_64::__cpuid_count;
use hvm::capability::{Capability, Vendor};

fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let it = __cpuid_count(leaf, subleaf);
    [it.eax, it.ebx, it.ecx, it.edx]
}

fn rdmsr(msr: u32) -> u64 {
    // SAFETY: the detectors read only MSRs that CPUID promises.
    unsafe { x86::msr::rdmsr(msr) }
}

/// The CPU that runs this.
pub fn this_cpu() -> Capability {
    match Vendor::of(&cpuid) {
        Vendor::Amd | Vendor::Hygon => amd(),
        Vendor::Intel => intel(),
        Vendor::Other(_) => Capability::unknown(&cpuid),
    }
}

#[cfg(feature = "svm")]
fn amd() -> Capability {
    svm_core::capability::detect(&cpuid, &rdmsr)
}

#[cfg(not(feature = "svm"))]
fn amd() -> Capability {
    Capability::not_built(&cpuid, hvm::capability::Technology::AmdV)
}

#[cfg(feature = "vmx")]
fn intel() -> Capability {
    vmx_core::capability::detect(&cpuid, &rdmsr)
}

#[cfg(not(feature = "vmx"))]
fn intel() -> Capability {
    Capability::not_built(&cpuid, hvm::capability::Technology::VtX)
}

/// All CPUs by index, the boot CPU running this. `None` for one that did not answer.
pub fn all() -> Vec<Option<Capability>> {
    smp::on_every_cpu(this_cpu)
}
