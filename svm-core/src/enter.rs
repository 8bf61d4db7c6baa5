//! The world switch: VMRUN with the guest's general registers around it (APM vol. 2, 15.5).
//!
//! What VMRUN itself swaps is not touched here; RAX and RSP live in the VMCB. FS, GS, TR, LDTR, the SYSCALL and SYSENTER
//! MSRs are moved by VMLOAD and VMSAVE, because the host needs its own TR and GS base as soon as GIF is set. x87, SSE and
//! AVX state, XCR0 and DR0–DR3 stay the guest's: hypervisor code uses none of them.

use core::arch::naked_asm;

/// The guest's general registers that VMRUN does not save, in encoding order. Slots 0 (RAX) and 4 (RSP) are unused: the
/// VMCB holds those.
pub type Gprs = [u64; 16];

/// Runs the guest until the next #VMEXIT.
///
/// # Safety
/// GIF is clear, EFER.SVME is set and VM_HSAVE_PA points at a page of this CPU's own. `vmcb` and `host` are physical
/// addresses of VMCBs that are used by this CPU alone; the guest's describes a state whose nested page tables reach
/// nothing but the guest's memory. `gprs` is valid for reads and writes.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(gprs: *mut Gprs, vmcb: u64, host: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi",
        "push rdx",
        "mov rax, rsi",
        "mov rcx, [rdi + 1*8]",
        "mov rdx, [rdi + 2*8]",
        "mov rbx, [rdi + 3*8]",
        "mov rbp, [rdi + 5*8]",
        "mov rsi, [rdi + 6*8]",
        "mov r8, [rdi + 8*8]",
        "mov r9, [rdi + 9*8]",
        "mov r10, [rdi + 10*8]",
        "mov r11, [rdi + 11*8]",
        "mov r12, [rdi + 12*8]",
        "mov r13, [rdi + 13*8]",
        "mov r14, [rdi + 14*8]",
        "mov r15, [rdi + 15*8]",
        "mov rdi, [rdi + 7*8]",
        "vmload rax",
        "vmrun rax",
        "vmsave rax",
        // #VMEXIT restored RAX and RSP of the host: RAX is the VMCB's address again, and below RSP lie HOST and GPRS.
        "mov rax, [rsp + 8]",
        "mov [rax + 1*8], rcx",
        "mov [rax + 2*8], rdx",
        "mov [rax + 3*8], rbx",
        "mov [rax + 5*8], rbp",
        "mov [rax + 6*8], rsi",
        "mov [rax + 7*8], rdi",
        "mov [rax + 8*8], r8",
        "mov [rax + 9*8], r9",
        "mov [rax + 10*8], r10",
        "mov [rax + 11*8], r11",
        "mov [rax + 12*8], r12",
        "mov [rax + 13*8], r13",
        "mov [rax + 14*8], r14",
        "mov [rax + 15*8], r15",
        "pop rax",
        "vmload rax",
        "pop rdi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
