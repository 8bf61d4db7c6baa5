//! Control registers and the page-attribute table, set alike on every CPU.

use super::features::features;
use core::arch::asm;
use x86::msr::{IA32_EFER, IA32_PAT, rdmsr, wrmsr};

/// CR0 bits. (SDM vol. 3, 2.5.)
pub mod cr0 {
    /// WAIT obeys TS.
    pub const MONITOR_COPROCESSOR: u64 = 1 << 1;
    /// No FPU.
    pub const EMULATION: u64 = 1 << 2;
    /// FPU state belongs to another task.
    pub const TASK_SWITCHED: u64 = 1 << 3;
    /// FPU errors as exceptions.
    pub const NUMERIC_ERROR: u64 = 1 << 5;
    /// Read-only pages bind the kernel too.
    pub const WRITE_PROTECT: u64 = 1 << 16;
    /// With [`CACHE_DISABLE`]: the cache mode.
    pub const NOT_WRITE_THROUGH: u64 = 1 << 29;
    /// No new cache lines.
    pub const CACHE_DISABLE: u64 = 1 << 30;
}

/// CR4 bits. (SDM vol. 3, 2.5.)
pub mod cr4 {
    /// FXSAVE and SSE.
    pub const OSFXSR: u64 = 1 << 9;
    /// SSE exceptions.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// No SGDT and friends in user mode.
    pub const UMIP: u64 = 1 << 11;
    /// XSAVE and XSETBV.
    pub const OSXSAVE: u64 = 1 << 18;
    /// No execution of user pages.
    pub const SMEP: u64 = 1 << 20;
    /// No access to user pages.
    pub const SMAP: u64 = 1 << 21;
}

/// IA32_EFER.NXE.
const EFER_NO_EXECUTE: u64 = 1 << 11;

/// By index: write-back, write-combining, UC-, uncached; write-back, write-protected, UC-, write-through. As at reset but
/// for 1 (was write-through), 5 (write-through) and 7 (uncached), which no mapping of a loader needs.
const PAT: u64 = u64::from_le_bytes([6, 1, 7, 0, 6, 5, 7, 4]);

/// Sets this CPU's control registers: write protection for the kernel, no-execute, SMEP, SMAP and UMIP where present, and
/// an FPU that a guest can use (the kernel itself does not).
pub(super) fn init() {
    let features = features();
    // SAFETY: only protections are tightened and features enabled that CPUID offers; nothing running relies on their
    // absence, and PAT entry 0, which all live mappings use, keeps its meaning.
    unsafe {
        let clear =
            cr0::EMULATION | cr0::TASK_SWITCHED | cr0::NOT_WRITE_THROUGH | cr0::CACHE_DISABLE;
        let set = cr0::MONITOR_COPROCESSOR | cr0::NUMERIC_ERROR | cr0::WRITE_PROTECT;
        write_cr0(read_cr0() & !clear | set);
        let mut wanted = cr4::OSFXSR | cr4::OSXMMEXCPT;
        for (present, bit) in [
            (features.umip, cr4::UMIP),
            (features.xsave, cr4::OSXSAVE),
            (features.smep, cr4::SMEP),
            (features.smap, cr4::SMAP),
        ] {
            wanted |= if present { bit } else { 0 };
        }
        write_cr4(read_cr4() | wanted);
        if features.no_execute {
            wrmsr(IA32_EFER, rdmsr(IA32_EFER) | EFER_NO_EXECUTE);
        }
        wrmsr(IA32_PAT, PAT);
    }
}

/// CR0.
pub fn read_cr0() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// CR4, with bits that no crate knows of.
pub fn read_cr4() -> u64 {
    let value;
    // SAFETY: reading has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// # Safety
/// The running code must be valid under the new value.
pub unsafe fn write_cr0(value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// # Safety
/// The running code must be valid under the new value.
pub unsafe fn write_cr4(value: u64) {
    // SAFETY: the caller vouches for the value.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}
