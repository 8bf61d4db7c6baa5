//! The control block as it is after a reset, and the CPU-owned state beside it.

use crate::bits::{clean, intercept1, intercept2, vintr};
use crate::vcpu::{Hlt, Step, Svm};
use core::arch::asm;

/// #DB, #AC and #MC are intercepted always: the first two because a guest could make their delivery loop for ever, out
/// of reach of any interrupt (APM vol. 2, 15.12.2 and 15.12.17), the last because the machine is the host's.
const EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;
/// What reaches the machine exits. CR accesses, INVLPG, RDTSC, XSETBV, PAUSE and page faults never do.
const INTERCEPT1: u32 = intercept1::INTR
    | intercept1::NMI
    | intercept1::INIT
    | intercept1::RDPMC
    | intercept1::CPUID
    | intercept1::INVD
    | intercept1::INVLPGA
    | intercept1::IOIO_PROT
    | intercept1::MSR_PROT
    | intercept1::SHUTDOWN;
const INTERCEPT2: u32 = intercept2::VMRUN
    | intercept2::VMMCALL
    | intercept2::VMLOAD
    | intercept2::VMSAVE
    | intercept2::STGI
    | intercept2::CLGI
    | intercept2::SKINIT
    | intercept2::MONITOR
    | intercept2::MWAIT;
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
const DR6_RESET: u64 = 0xffff_0ff0;
const DR7_RESET: u64 = 0x400;

impl Svm {
    /// Writes the whole control block anew, but for the registers of [`hvm::regs::State`], which are zero.
    pub(crate) fn clear_control_block(&mut self) {
        let (pages, root, hlt) = (self.pages, self.nested_root, self.hlt);
        // SAFETY: the page is ours alone, and a VMCB is plain integers, for which zero is a value.
        unsafe { pages.vmcb.1.as_ptr().write_bytes(0, 1) };
        let vmcb = self.vmcb_mut();
        vmcb.control.exceptions = EXCEPTIONS;
        vmcb.control.intercept1 = INTERCEPT1;
        if hlt == Hlt::Intercepted {
            vmcb.control.intercept1 |= intercept1::HLT;
        }
        vmcb.control.intercept2 = INTERCEPT2;
        vmcb.control.iopm_base = pages.iopm.0.0;
        vmcb.control.msrpm_base = pages.msrpm.0.0;
        vmcb.control.vintr = vintr::V_INTR_MASKING;
        vmcb.control.nested_control = 1;
        vmcb.control.nested_cr3 = root.0;
        vmcb.save.g_pat = PAT_RESET;
        vmcb.save.dr6 = DR6_RESET;
        vmcb.save.dr7 = DR7_RESET;
        self.changed = clean::ALL;
        self.flush = true;
        self.step = Step::Off;
        self.own_flags = u64::MAX;
    }
}

/// Puts x87, MXCSR, XCR0 and DR0 to DR3, which stay the guest's while hypervisor code runs, to their reset values.
pub fn live_state() {
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
