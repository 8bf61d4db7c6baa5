//! CR2, which VMRUN loads from the control block (APM vol. 2, 15.5.1). Bochs 2.7 saves it at exits and forgets to load it, so it is put into
//! the CPU as well, where it stays until the next entry: the hypervisor has no page faults of its own.

/// Sets it.
#[cfg(target_os = "none")]
#[inline]
pub fn set_cr2(value: u64) {
    // SAFETY: the hypervisor reads CR2 only in its own page faults, which set it anew.
    unsafe {
        core::arch::asm!("mov cr2, {}", in(reg) value, options(nomem, nostack, preserves_flags));
    }
}

/// A hosted program may not touch it.
#[cfg(not(target_os = "none"))]
pub const fn set_cr2(_value: u64) {}
