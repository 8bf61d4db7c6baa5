//! A vCPU on AMD-V, on the CPU that runs this.

use super::host::cpuid;
use crate::mem::{frames, phys_to_virt};
use core::ptr::NonNull;
use guest_mem::Hpa;
use hvm::cpuid::Leaf;
use hvm::msr;
use hvm::vcpu::{MsrAccess, Vcpu};
use svm_core::{Features, Hlt, IOPM_BYTES, MSRPM_BYTES, Pages, Svm, host};

/// SVM's own leaf of CPUID (APM vol. 3, E.4.9).
const SVM_LEAF: u32 = 0x8000_000a;

fn features() -> Features {
    let [_, ebx, _, edx]: Leaf = cpuid(SVM_LEAF, 0);
    Features {
        next_rip: edx & 1 << 3 != 0,
        clean_bits: edx & 1 << 5 != 0,
        flush_by_asid: edx & 1 << 6 != 0,
        decode_assists: edx & 1 << 7 != 0,
        asids: ebx,
    }
}

/// Turns SVM on here and makes a vCPU. `None` if there is no memory for its pages (28 KiB).
///
/// # Safety
/// The CPU offers SVM, and firmware has not disabled it. The vCPU runs on this CPU only.
pub unsafe fn vcpu(hlt: Hlt) -> Option<Svm> {
    let save_area = frames::alloc_zeroed_page()?;
    let host_vmcb = frames::alloc_zeroed_page()?;
    let vmcb = frames::alloc_zeroed_page()?;
    let msrpm = Hpa(frames::alloc_zeroed(MSRPM_BYTES as u64)?.base);
    let iopm = Hpa(frames::alloc_zeroed(IOPM_BYTES as u64)?.base);
    // SAFETY: the caller vouches for SVM; both pages were just allocated for this.
    unsafe {
        host::enable(save_area);
        host::save_host(host_vmcb);
    }
    let pages = Pages {
        vmcb: (vmcb, pointer(vmcb).cast()),
        host: host_vmcb,
        msrpm: (msrpm, pointer(msrpm).cast()),
        iopm: (iopm, pointer(iopm).cast()),
    };
    // SAFETY: all pages were just allocated zeroed, contiguous, and for this vCPU alone; they are never freed.
    let mut cpu = unsafe { Svm::new(pages, features(), hlt) };
    pass_through(&mut cpu);
    Some(cpu)
}

fn pointer(page: Hpa) -> NonNull<u8> {
    NonNull::new(phys_to_virt(page)).expect("the direct map lies in the upper half")
}

/// Gives the guest the MSRs that it alone uses.
fn pass_through(cpu: &mut Svm) {
    const RDTSCP: u32 = 1 << 27;
    /// Leaf 7 EDX: IBRS and IBPB, STIBP, SSBD; leaf 8000_0008h EBX: IBPB, IBRS, STIBP, SSBD.
    const SPECULATION: (u32, u32) = (
        1 << 26 | 1 << 27 | 1 << 31,
        1 << 12 | 1 << 14 | 1 << 15 | 1 << 24,
    );
    let rdtscp = cpuid(0x8000_0001, 0)[3] & RDTSCP != 0;
    let speculation =
        cpuid(7, 0)[3] & SPECULATION.0 != 0 || cpuid(0x8000_0008, 0)[1] & SPECULATION.1 != 0;
    let always = msr::PASS_THROUGH.iter();
    let optional = rdtscp.then_some(&msr::TSC_AUX).into_iter();
    let speculative = msr::SPECULATION.iter().filter(|_| speculation);
    for &register in always.chain(optional).chain(speculative) {
        cpu.set_msr_access(register, MsrAccess::PassThrough);
    }
}
