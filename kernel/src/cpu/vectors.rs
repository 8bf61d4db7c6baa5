//! The guest's vector registers as bytes, for the emulator: they stay in the CPU ([`super::live`]) until an instruction asks for them.

use core::arch::asm;
use hvm::emulate::{XSAVE_HEAD_BYTES, XsaveImage};

/// Where the registers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// In the CPU.
    Cpu,
    /// In the image.
    Image,
}

/// Room for an image, which FXSAVE wants aligned.
#[repr(C, align(64))]
struct Image([u8; XSAVE_HEAD_BYTES]);

/// XMM0 to XMM15. Whoever asks for them puts them back before the guest is entered.
pub struct Vectors {
    image: Image,
    home: Home,
}

impl Default for Vectors {
    fn default() -> Self {
        Self::new()
    }
}

impl Vectors {
    /// The registers, in the CPU.
    pub const fn new() -> Self {
        Self {
            image: Image([0; XSAVE_HEAD_BYTES]),
            home: Home::Cpu,
        }
    }

    /// The registers of the vCPU that exited here, as an image. `None` if this CPU does not save them.
    #[cold]
    pub fn show(&mut self) -> Option<XsaveImage<'_>> {
        const OSFXSR: u64 = 1 << 9;
        const XSTATE_BV: usize = 512;
        const X87_AND_SSE: u8 = 3;
        if self.home == Home::Cpu {
            let cr4: u64;
            // SAFETY: reading CR4 has no effect.
            unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack)) };
            if cr4 & OSFXSR == 0 {
                return None;
            }
            // SAFETY: FXSAVE64 writes 512 bytes to the image, which has them and is aligned; the host's CR0.TS and EM are clear.
            unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut self.image.0, options(nostack)) };
            self.image.0[XSTATE_BV] = X87_AND_SSE;
            self.home = Home::Image;
        }
        Some(XsaveImage::new(&mut self.image.0))
    }

    /// Puts them back, if they are not in the CPU. What lies above bit 127 of a register never left it.
    #[inline]
    pub fn put_back(&mut self) {
        if self.home == Home::Image {
            self.home = Home::Cpu;
            // SAFETY: the image is one that FXSAVE64 wrote on this CPU, but for XMM registers, whose values are all valid; hypervisor
            // code uses none of these registers.
            unsafe { asm!("fxrstor64 [{}]", in(reg) &raw const self.image.0, options(nostack)) };
        }
    }
}
