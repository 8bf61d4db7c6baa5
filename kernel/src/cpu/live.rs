//! Guest state that stays in the CPU while hypervisor code runs, because that uses none of it: x87, SSE and AVX registers,
//! XCR0, DR0 to DR3, TSC_AUX.

use crate::cpu::control;
use crate::cpu::control::cr4;
use crate::mem::{frames, phys_to_virt};
use core::arch::asm;
use core::ptr::NonNull;
use guest_mem::Hpa;
use x86::msr::{rdmsr, wrmsr};

/// Puts x87, MXCSR, XCR0 and DR0 to DR3 to their reset values.
pub fn reset() {
    const MXCSR_RESET: u32 = 0x1f80;
    let cr4 = control::read_cr4();
    // SAFETY: FNINIT and, where the host has enabled them, LDMXCSR and XSETBV to the reset value (SDM vol. 3A, table
    // 10-1) touch state that hypervisor code never uses. DR0 to DR3 do nothing here: the host's DR7 is off.
    unsafe {
        asm!("fninit", options(nomem, nostack));
        if cr4 & cr4::OSFXSR != 0 {
            asm!("ldmxcsr [{}]", in(reg) &MXCSR_RESET, options(readonly, nostack));
        }
        if cr4 & cr4::OSXSAVE != 0 {
            asm!("xsetbv", in("ecx") 0, in("eax") 1, in("edx") 0, options(nomem, nostack));
        }
    }
    set_breakpoints([0; 4]);
}

/// DR0 to DR3.
pub fn breakpoints() -> [u64; 4] {
    let (zero, one, two, three);
    // SAFETY: reading has no effect; the host's DR7 does not guard them.
    unsafe {
        asm!("mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
            out(reg) zero, out(reg) one, out(reg) two, out(reg) three, options(nomem, nostack, preserves_flags));
    }
    [zero, one, two, three]
}

/// Sets them. They do nothing while the host runs, whose DR7 is off.
pub fn set_breakpoints([zero, one, two, three]: [u64; 4]) {
    // SAFETY: addresses of breakpoints that are off.
    unsafe {
        asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
            in(reg) zero, in(reg) one, in(reg) two, in(reg) three, options(nomem, nostack, preserves_flags));
    }
}

/// The guest's TSC_AUX, which RDTSCP gives. To be asked only where the CPU has RDTSCP.
pub fn tsc_aux() -> u64 {
    // SAFETY: who has RDTSCP has the register; hypervisor code does not use it, so it is the guest's.
    unsafe { x86::msr::rdmsr(hvm::msr::TSC_AUX) }
}

/// The guest's XCR0; its reset value where the CPU has none.
pub fn xcr0() -> u64 {
    if control::read_cr4() & cr4::OSXSAVE == 0 {
        return 1;
    }
    let (low, high): (u32, u32);
    // SAFETY: CR4.OSXSAVE is set, so it does not fault; it has no other effect.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
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

/// Model-specific registers of a guest that stay in the CPU, at most.
const MSRS: usize = 8;

/// All of that state of one vCPU, while another has the CPU.
pub struct Saved {
    /// An XSAVE area of all components, or an FXSAVE area.
    area: NonNull<u8>,
    /// What XCR0 can be; 0 where there is no XSAVE.
    components: u64,
    xcr0: u64,
    breakpoints: [u64; 4],
    msrs: [(u32, u64); MSRS],
    count: usize,
}

// SAFETY: the area belongs to the value alone.
unsafe impl Send for Saved {}

impl Saved {
    /// Room for the state of one vCPU, with these MSRs of it, at most [`MSRS`]; `None` if there is no host memory.
    pub fn new(msrs: impl Iterator<Item = u32>) -> Option<Self> {
        const FXSAVE_BYTES: u64 = 512;
        let (components, bytes) = if control::read_cr4() & cr4::OSXSAVE != 0 {
            let leaf = core::arch::x86_64::__cpuid_count(0xd, 0);
            let components = u64::from(leaf.edx) << 32 | u64::from(leaf.eax);
            (components, u64::from(leaf.ecx))
        } else {
            (0, FXSAVE_BYTES)
        };
        let range = frames::alloc_zeroed(bytes.next_multiple_of(4096))?;
        let mut saved = Self {
            area: NonNull::new(phys_to_virt(Hpa(range.base)))?,
            components,
            xcr0: 1,
            breakpoints: [0; 4],
            msrs: [(0, 0); MSRS],
            count: 0,
        };
        for (entry, register) in saved.msrs.iter_mut().zip(msrs) {
            entry.0 = register;
            saved.count += 1;
        }
        Some(saved)
    }

    /// Takes the state out of the CPU.
    pub fn save(&mut self) {
        self.breakpoints = breakpoints();
        for (register, value) in &mut self.msrs[..self.count] {
            // SAFETY: the guest has the register, so the CPU does.
            *value = unsafe { rdmsr(*register) };
        }
        let area = self.area.as_ptr();
        // SAFETY: the area is large enough for everything that XCR0 can enable, aligned to a page and ours; XCR0 gets a value that
        // CPUID offers, and hypervisor code uses none of the state.
        unsafe {
            if self.components == 0 {
                asm!("fxsave64 [{}]", in(reg) area, options(nostack));
                return;
            }
            self.xcr0 = xcr0();
            set_xcr0(self.components);
            asm!("xsave64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
        }
    }

    /// Puts it back.
    pub fn restore(&self) {
        set_breakpoints(self.breakpoints);
        for &(register, value) in &self.msrs[..self.count] {
            // SAFETY: the value was read from the register, where the guest had put it; the hypervisor does not depend on it.
            unsafe { wrmsr(register, value) };
        }
        let area = self.area.as_ptr();
        // SAFETY: as in `save`, which has filled the area.
        unsafe {
            if self.components == 0 {
                asm!("fxrstor64 [{}]", in(reg) area, options(nostack));
                return;
            }
            set_xcr0(self.components);
            asm!("xrstor64 [{}]", in(reg) area, in("eax") u32::MAX, in("edx") u32::MAX, options(nostack));
            set_xcr0(self.xcr0);
        }
    }
}
