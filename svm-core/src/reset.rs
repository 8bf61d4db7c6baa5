//! The control block as it is after a reset.

use crate::bits::{clean, intercept1, intercept2, vintr};
use crate::nmi::Nmi;
use crate::vcpu::Svm;
use hvm::regs::{DR6_RESET, DR7_RESET, PAT_RESET};
use hvm::vcpu::{Hlt, INTERCEPTED_EXCEPTIONS};

/// What reaches the machine exits. CR accesses, INVLPG, RDTSC, XSETBV and page faults never do, and a PAUSE does not by itself.
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
impl Svm {
    /// Writes the whole control block anew, but for the registers of [`hvm::regs::State`], which are zero.
    pub(crate) fn clear_control_block(&mut self) {
        let (pages, root, hlt) = (self.pages, self.nested_root, self.hlt);
        // SAFETY: the page is ours alone, and a VMCB is plain integers, for which zero is a value.
        unsafe { pages.vmcb.1.as_ptr().write_bytes(0, 1) };
        let vmcb = self.vmcb_mut();
        vmcb.control.exceptions = INTERCEPTED_EXCEPTIONS;
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
        self.intercept_for_shadow();
        self.changed = clean::ALL;
        self.want_flush();
        self.nmi = Nmi::Open;
        self.window = None;
        self.own_flags = u64::MAX;
        self.intercept_tsc();
        self.filter_pauses(self.pause_filter);
    }
}
