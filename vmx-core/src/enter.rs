//! The world switch: VMLAUNCH or VMRESUME with the guest's general registers around it (SDM vol. 3C, 27.1 and 28.5).
//!
//! What VM entries and exits swap is not touched here; RSP lives in the VMCS. x87, SSE and AVX state, XCR0, CR2, DR0–DR3, DR6 and the
//! SYSCALL MSRs stay the guest's: hypervisor code uses none of them.

use crate::vmcs::Field;
use core::arch::naked_asm;

/// The guest's general registers, in encoding order. Slot 4 (RSP) is unused: the VMCS holds that.
pub type Gprs = [u64; 16];

/// Whether the VMCS was entered since it was cleared (SDM vol. 3C, 25.11.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Launch {
    /// No: VMLAUNCH.
    Clear = 0,
    /// Yes: VMRESUME.
    Launched = 1,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Entered {
    /// A VM exit ended it; the exit reason says whether the guest ever ran.
    Exited = 0,
    /// The instruction failed before anything was loaded; the VM-instruction error field says why (SDM vol. 3C, 31.4).
    Failed = 1,
}

/// Runs the guest until the next VM exit.
///
/// # Safety
/// The current VMCS describes a host state that is this CPU's, with [`exited`] as its RIP, and a guest whose EPT reaches nothing but
/// its memory. Interrupts are off. `gprs` is valid for reads and writes.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(gprs: *mut Gprs, launch: Launch) -> Entered {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi",
        "mov eax, {host_rsp}",
        "vmwrite rax, rsp",
        // Moves leave the flags alone, so this one lasts to the branch.
        "test esi, esi",
        "mov rax, [rdi + 0*8]",
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
        "jz 2f",
        "vmresume",
        "jmp 3f",
        "2:",
        "vmlaunch",
        "3:",
        // Still here, with the stack as it was: the instruction failed.
        "mov eax, 1",
        "pop rdi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        host_rsp = const Field::HostRsp as u32,
    )
}

/// Where VM exits arrive, on the stack that [`enter`] left; goes on as its return.
///
/// # Safety
/// Not to be called: only a VM exit comes here.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn exited() {
    naked_asm!(
        "push rax",
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
        "pop rcx",
        "mov [rax + 0*8], rcx",
        "xor eax, eax",
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
