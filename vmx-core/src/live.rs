//! Guest registers that neither VM entries nor exits touch, so that they stay in the CPU: CR2 and DR6 (SDM vol. 3C, 28.3.1).

#[cfg(target_os = "none")]
mod registers {
    use core::arch::asm;

    /// CR2.
    #[inline]
    pub fn cr2() -> u64 {
        let value;
        // SAFETY: reading has no effect.
        unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    /// Sets it.
    #[inline]
    pub fn set_cr2(value: u64) {
        // SAFETY: the hypervisor reads CR2 only in its own page faults, which set it anew.
        unsafe { asm!("mov cr2, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
    }

    /// DR6.
    #[inline]
    pub fn dr6() -> u64 {
        let value;
        // SAFETY: reading has no effect.
        unsafe { asm!("mov {}, dr6", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    /// Sets it. Bits 63:32 are not kept: they would fault.
    #[inline]
    pub fn set_dr6(value: u64) {
        // SAFETY: the upper half is clear; the hypervisor has no breakpoints whose status could be lost.
        unsafe {
            asm!("mov dr6, {}", in(reg) value & 0xffff_ffff, options(nomem, nostack, preserves_flags))
        };
    }
}

/// A hosted program may not touch them, so tests have cells in their place.
#[cfg(not(target_os = "none"))]
mod registers {
    use core::sync::atomic::{AtomicU64, Ordering};

    static CR2: AtomicU64 = AtomicU64::new(0);
    static DR6: AtomicU64 = AtomicU64::new(0);

    pub fn cr2() -> u64 {
        CR2.load(Ordering::Relaxed)
    }

    pub fn set_cr2(value: u64) {
        CR2.store(value, Ordering::Relaxed);
    }

    pub fn dr6() -> u64 {
        DR6.load(Ordering::Relaxed)
    }

    pub fn set_dr6(value: u64) {
        DR6.store(value & 0xffff_ffff, Ordering::Relaxed);
    }
}

pub use registers::{cr2, dr6, set_cr2, set_dr6};
