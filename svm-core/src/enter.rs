//! The world switch: VMRUN with the guest's general registers around it (APM vol. 2, 15.5).
//!
//! What VMRUN itself swaps is not touched here; RAX and RSP live in the VMCB. FS, GS, TR, LDTR, the SYSCALL and SYSENTER
//! MSRs are moved by VMLOAD and VMSAVE, because the host needs its own TR and GS base as soon as GIF is set. x87, SSE and
//! AVX state, XCR0 and DR0–DR3 stay the guest's: hypervisor code uses none of them.

use core::arch::naked_asm;
use hvm::gprs::Gprs;

/// Runs the guest until the next #VMEXIT.
///
/// # Safety
/// GIF is clear, EFER.SVME is set and VM_HSAVE_PA points at a page of this CPU's own. `vmcb` and `host` are physical
/// addresses of VMCBs that are used by this CPU alone; the guest's describes a state whose nested page tables reach
/// nothing but the guest's memory. `gprs` is valid for reads and writes; its slots of RAX and RSP are unused.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(gprs: *mut Gprs, vmcb: u64, host: u64) {
    naked_asm!(
        hvm::push_callee_saved!(),
        "push rdi",
        "push rdx",
        "mov rax, rsi",
        hvm::load_gprs!(),
        "vmload rax",
        "vmrun rax",
        "vmsave rax",
        // #VMEXIT restored RAX and RSP of the host: RAX is the VMCB's address again, and below RSP lie HOST and GPRS.
        "mov rax, [rsp + 8]",
        hvm::store_gprs!(),
        "pop rax",
        "vmload rax",
        "pop rdi",
        hvm::pop_callee_saved!(),
        "ret",
    )
}
