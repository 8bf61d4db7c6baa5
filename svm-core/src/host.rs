//! What a CPU needs before its first VMRUN (APM vol. 2, 15.4).

use crate::bits::{EFER_SVME, msr};
use core::arch::asm;
use hvm::Hpa;
use x86::msr::{rdmsr, wrmsr};

/// Turns SVM on for this CPU and gives it its host save area.
///
/// # Safety
/// CPUID offers SVM and VM_CR.SVMDIS is clear. `save_area` is a page that this CPU alone owns from now on.
pub unsafe fn enable(save_area: Hpa) {
    // SAFETY: EFER exists on every 64-bit CPU; SVM is offered and not disabled, so setting SVME does not fault, and the
    // save area is ours by the caller's promise.
    unsafe {
        wrmsr(msr::EFER, rdmsr(msr::EFER) | EFER_SVME);
        wrmsr(msr::VM_HSAVE_PA, save_area.0);
    }
}

/// Stores the host's FS, GS, TR, LDTR and system-call MSRs in the host VMCB, from where every world switch loads them.
///
/// # Safety
/// SVM is on for this CPU; `host` is a page that this CPU alone owns.
pub unsafe fn save_host(host: Hpa) {
    // SAFETY: VMSAVE writes only into the page that the caller vouches for.
    unsafe { asm!("vmsave rax", in("rax") host.0, options(nostack)) };
}

/// Holds all interrupts and NMIs back, as VMRUN needs it (APM vol. 2, 15.17).
///
/// # Safety
/// SVM is on for this CPU.
#[inline]
pub unsafe fn clear_gif() {
    // SAFETY: by the caller's promise.
    unsafe { asm!("clgi", options(nomem, nostack)) };
}

/// Lets pending interrupts in. RFLAGS.IF must be set for more than NMIs to arrive.
///
/// # Safety
/// SVM is on for this CPU, and the host's IDT, TSS and GS base are loaded.
#[inline]
pub unsafe fn set_gif() {
    // SAFETY: by the caller's promise.
    unsafe { asm!("stgi", options(nomem, nostack)) };
}
