//! Guest state that stays in the CPU while hypervisor code runs, because that uses none of it: x87, SSE and AVX registers,
//! XCR0, DR0 to DR3, TSC_AUX.

use core::arch::asm;

/// Puts x87, MXCSR, XCR0 and DR0 to DR3 to their reset values.
pub fn reset() {
    const OSFXSR: u64 = 1 << 9;
    const OSXSAVE: u64 = 1 << 18;
    const MXCSR_RESET: u32 = 0x1f80;
    let cr4: u64;
    // SAFETY: FNINIT and, where the host has enabled them, LDMXCSR and XSETBV to the reset value (SDM vol. 3A, table
    // 10-1) touch state that hypervisor code never uses. DR0 to DR3 do nothing here: the host's DR7 is off.
    unsafe {
        asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack));
        asm!("fninit", options(nomem, nostack));
        if cr4 & OSFXSR != 0 {
            asm!("ldmxcsr [{}]", in(reg) &MXCSR_RESET, options(readonly, nostack));
        }
        if cr4 & OSXSAVE != 0 {
            asm!("xsetbv", in("ecx") 0, in("eax") 1, in("edx") 0, options(nomem, nostack));
        }
        let zero = 0_u64;
        asm!("mov dr0, {0}", "mov dr1, {0}", "mov dr2, {0}", "mov dr3, {0}", in(reg) zero, options(nomem, nostack));
    }
}

/// The guest's TSC_AUX, which RDTSCP gives. To be asked only where the CPU has RDTSCP.
pub fn tsc_aux() -> u64 {
    // SAFETY: who has RDTSCP has the register; hypervisor code does not use it, so it is the guest's.
    unsafe { x86::msr::rdmsr(hvm::msr::TSC_AUX) }
}

/// Sets XCR0 on the guest's behalf.
///
/// # Safety
/// CR4.OSXSAVE is set, and `value` is valid for this CPU ([`hvm::xcr0::is_valid`]).
pub unsafe fn set_xcr0(value: u64) {
    // SAFETY: by the caller's promise it does not fault; hypervisor code uses none of the state that it governs.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nomem, nostack));
    }
}
