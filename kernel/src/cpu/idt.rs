//! The interrupt descriptor table, one for all CPUs, and the entry stubs that it names. (SDM vol. 3, 6.10 to 6.14.)

use super::descriptors::{CODE, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_NMI};
use super::exception;
use crate::apic::vector;
use core::arch::asm;
use core::cell::UnsafeCell;

/// Vectors below this are exceptions.
pub const FIRST_INTERRUPT: u8 = 32;
const DOUBLE_FAULT: usize = 8;
const NMI: usize = 2;
const MACHINE_CHECK: usize = 18;

/// What a stub leaves on the stack: the registers in the order that it pushes them, then what the CPU pushed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "registers are named as the manuals name them")]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Present, ring 0, 64-bit interrupt gate.
const GATE: u64 = 0x8e << 40;

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; 256]>);

// SAFETY: written by `build` alone, on the boot CPU before any other CPU runs; read by hardware only.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

/// Fills the table. Once, on the boot CPU.
pub(super) fn build() {
    for vector in 0..256 {
        let handler = stubs::address(vector);
        let stack = match vector {
            DOUBLE_FAULT => IST_DOUBLE_FAULT,
            NMI => IST_NMI,
            MACHINE_CHECK => IST_MACHINE_CHECK,
            _ => 0,
        };
        let low = handler & 0xffff
            | u64::from(CODE) << 16
            | u64::from(stack) << 32
            | GATE
            | (handler >> 16 & 0xffff) << 48;
        // SAFETY: no other CPU runs yet, interrupts are off, and `vector` is below 256.
        unsafe { (*TABLE.0.get())[vector] = [low, handler >> 32] };
    }
}

/// Makes this CPU use the table.
pub(super) fn load() {
    #[repr(C, packed)]
    struct Pointer {
        limit: u16,
        base: u64,
    }
    let pointer = Pointer {
        limit: size_of::<Table>() as u16 - 1,
        base: TABLE.0.get().addr() as u64,
    };
    // SAFETY: every gate was filled with a stub that saves and restores all registers.
    unsafe {
        asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags))
    };
}

/// Every stub ends here.
#[cfg_attr(
    not(target_os = "none"),
    allow(dead_code, reason = "the stubs exist on the bare machine only")
)]
extern "C" fn dispatch(frame: &mut Frame) {
    let number = frame.vector as u8;
    if number < FIRST_INTERRUPT {
        exception::handle(frame);
    } else {
        vector::dispatch(number);
    }
}

#[cfg(target_os = "none")]
mod stubs {
    use core::arch::global_asm;

    // Each stub is 16 bytes long. Exceptions 8, 10 to 14, 17, 21, 29 and 30 come with an error code; for all others a
    // zero takes its place. The CPU aligns RSP to 16 before it pushes, and 22 quadwords are pushed until the call.
    global_asm!(
        ".balign 16",
        "interrupt_stubs:",
        ".set number, 0",
        ".rept 256",
        ".balign 16",
        ".if number != 8 && (number < 10 || number > 14) && number != 17 && number != 21 && number != 29 && number != 30",
        "pushq $0",
        ".endif",
        "pushq $number",
        "jmp interrupt_common",
        ".set number, number + 1",
        ".endr",
        ".balign 16",
        "interrupt_common:",
        "push %rax; push %rbx; push %rcx; push %rdx; push %rsi; push %rdi; push %rbp",
        "push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15",
        "cld",
        "mov %rsp, %rdi",
        "call {dispatch}",
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8",
        "pop %rbp; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rbx; pop %rax",
        "add $16, %rsp",
        "iretq",
        dispatch = sym super::dispatch,
        options(att_syntax),
    );

    unsafe extern "C" {
        static interrupt_stubs: u8;
    }

    pub fn address(vector: usize) -> u64 {
        (&raw const interrupt_stubs).addr() as u64 + 16 * vector as u64
    }
}

#[cfg(not(target_os = "none"))]
mod stubs {
    /// A hosted program takes no interrupts.
    pub fn address(_: usize) -> u64 {
        0
    }
}
