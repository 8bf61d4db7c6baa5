//! The guest's vector registers as bytes, for the emulator: they stay in the CPU ([`super::live`]) until an instruction asks for them.

use crate::cpu::control::{self, cr4};
use crate::cpu::live;
use core::arch::asm;
use hvm::emulate::{XSAVE_HEAD_BYTES, XsaveImage};

/// Where the registers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// In the CPU.
    Cpu,
    /// In the image, by FXSAVE.
    Legacy,
    /// In the image, by XSAVE.
    Extended,
}

/// The components of an image.
const X87_SSE_AVX: u32 = 7;

/// Room for an image, which XSAVE wants aligned.
#[repr(C, align(64))]
struct Image([u8; XSAVE_HEAD_BYTES]);

/// x87, XMM and YMM registers. Whoever asks for them puts them back before the guest is entered.
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
        const XSTATE_BV: usize = 512;
        const X87_AND_SSE: u8 = 3;
        const AVX: u64 = 1 << 2;
        if self.home == Home::Cpu {
            let cr4 = control::read_cr4();
            if cr4 & cr4::OSFXSR == 0 {
                return None;
            }
            let image = &raw mut self.image.0;
            if live::xcr0() & AVX != 0 {
                // SAFETY: in the standard format, XSAVE64 of these components writes 832 bytes to the image, which has them and is
                // aligned; the host's CR0.TS and EM are clear.
                unsafe {
                    asm!("xsave64 [{}]", in(reg) image, in("eax") X87_SSE_AVX, in("edx") 0, options(nostack));
                }
                self.home = Home::Extended;
            } else {
                // SAFETY: FXSAVE64 writes 512 bytes of it.
                unsafe { asm!("fxsave64 [{}]", in(reg) image, options(nostack)) };
                self.image.0[XSTATE_BV] = X87_AND_SSE;
                self.home = Home::Legacy;
            }
        }
        Some(XsaveImage::new(&mut self.image.0))
    }

    /// Puts them back, if they are not in the CPU. What the image does not hold never left it.
    #[inline]
    pub fn put_back(&mut self) {
        if self.home != Home::Cpu {
            self.restore();
        }
    }

    #[cold]
    fn restore(&mut self) {
        let image = &raw const self.image.0;
        // SAFETY: the image is one that this CPU wrote by the same kind of instruction, but for data registers, whose values are all
        // valid, and the marks of registers in use; hypervisor code uses none of these registers.
        unsafe {
            match self.home {
                Home::Cpu => {}
                Home::Legacy => asm!("fxrstor64 [{}]", in(reg) image, options(nostack)),
                Home::Extended => {
                    asm!("xrstor64 [{}]", in(reg) image, in("eax") X87_SSE_AVX, in("edx") 0, options(nostack));
                }
            }
        }
        self.home = Home::Cpu;
    }
}
