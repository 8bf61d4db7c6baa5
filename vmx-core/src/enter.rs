//! The world switch: VMLAUNCH or VMRESUME with the guest's general registers around it (SDM vol. 3C, 27.1 and 28.5).
//!
//! What VM entries and exits swap is not touched here; RSP lives in the VMCS. x87, SSE and AVX state, XCR0, CR2, DR0–DR3, DR6 and the
//! SYSCALL MSRs stay the guest's: hypervisor code uses none of them.

use crate::vmcs::Field;
use core::arch::naked_asm;
use hvm::gprs::Gprs;

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
/// its memory. Interrupts are off. `gprs` is valid for reads and writes; its slot of RSP is unused.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn enter(gprs: *mut Gprs, launch: Launch) -> Entered {
    naked_asm!(
        hvm::push_callee_saved!(),
        "push rdi",
        "mov eax, {host_rsp}",
        "vmwrite rax, rsp",
        // Moves leave the flags alone, so this one lasts to the branch.
        "test esi, esi",
        "mov rax, [rdi + 0*8]",
        hvm::load_gprs!(),
        "jz 2f",
        "vmresume",
        "jmp 3f",
        "2:",
        "vmlaunch",
        "3:",
        // Still here, with the stack as it was: the instruction failed.
        "mov eax, 1",
        "pop rdi",
        hvm::pop_callee_saved!(),
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
        hvm::store_gprs!(),
        "pop rcx",
        "mov [rax + 0*8], rcx",
        "xor eax, eax",
        "pop rdi",
        hvm::pop_callee_saved!(),
        "ret",
    )
}
