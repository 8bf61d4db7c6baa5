//! Host instructions that guest work needs.

use hvm::backend::Entropy;
use hvm::cpuid::Leaf;

/// The CPUID instruction of this CPU.
#[inline]
pub fn cpuid(leaf: u32, subleaf: u32) -> Leaf {
    let found = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [found.eax, found.ebx, found.ecx, found.edx]
}

/// The microcode level that the host's CPU reports (MSR 8Bh), for guests that look for fixed errata.
pub fn microcode_level() -> u64 {
    // SAFETY: every CPU with long mode has the register; reading it has no effect.
    unsafe { x86::msr::rdmsr(0x8b) }
}

/// The CPU's random number generator.
pub struct Rdrand(());

impl Rdrand {
    /// `None` where the CPU has none: a generator that is guessable would be worse than none.
    pub fn find() -> Option<Self> {
        const RDRAND: u32 = 1 << 30;
        (cpuid(1, 0)[2] & RDRAND != 0 && Self::word().is_some()).then_some(Self(()))
    }

    /// One number; ten tries, as Intel advises (SDM vol. 1, 7.3.17.1).
    fn word() -> Option<u64> {
        (0..10).find_map(|_| {
            let (word, ok): (u64, u8);
            // SAFETY: `find` saw the instruction in CPUID; it writes a register and flags.
            unsafe {
                core::arch::asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) ok, options(nomem, nostack));
            }
            (ok != 0).then_some(word)
        })
    }
}

impl Entropy for Rdrand {
    fn fill(&mut self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        for chunk in into.chunks_mut(8) {
            let Some(word) = Self::word() else { break };
            chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
            filled += chunk.len();
        }
        filled
    }
}
