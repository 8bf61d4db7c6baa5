//! Bochs' emulation: the second opinion on AMD-V, and the only one on VT-x.

use super::{Emulator, Engine, Share, Subject, Virtualization};
use crate::bochs::{self, CpuModel};

/// Bochs with one of its CPU models.
pub struct Bochs {
    name: &'static str,
    model: CpuModel,
    virtualization: Virtualization,
    subject: Subject,
    share: Share,
}

/// SVM with nested paging, next RIP and flush by ASID; no decode assists, no clean bits.
pub static SVM_NPT_BOCHS: Bochs = Bochs {
    name: "svm-npt@bochs",
    model: CpuModel("zambezi"),
    virtualization: Virtualization::SvmNpt,
    subject: Subject::Monovisor,
    share: Share::OneBoot,
};

/// SVM and next to nothing else: no nested paging, no next RIP.
pub static SVM_SHADOW_BOCHS: Bochs = Bochs {
    name: "svm-shadow@bochs",
    model: CpuModel("turion64_tyler"),
    virtualization: Virtualization::SvmShadow,
    subject: Subject::Monovisor,
    share: Share::Nothing,
};

/// VMX with EPT, unrestricted guest, virtual-interrupt delivery and TSC scaling.
pub static VMX_EPT_BOCHS: Bochs = Bochs {
    name: "vmx-ept@bochs",
    model: CpuModel("corei7_skylake_x"),
    virtualization: Virtualization::VmxEpt,
    subject: Subject::Monovisor,
    share: Share::OneBoot,
};

/// VMX with EPT and VPID, and without unrestricted guest and all that came after it.
pub static VMX_EPT_RESTRICTED_BOCHS: Bochs = Bochs {
    name: "vmx-ept-restricted@bochs",
    model: CpuModel("corei5_lynnfield_750"),
    virtualization: Virtualization::VmxEpt,
    subject: Subject::Monovisor,
    share: Share::Case("real-mode-grub"),
};

/// VMX with the TPR shadow, and without EPT, VPID and unrestricted guest.
pub static VMX_SHADOW_BOCHS: Bochs = Bochs {
    name: "vmx-shadow@bochs",
    model: CpuModel("core2_penryn_t9600"),
    virtualization: Virtualization::VmxShadow,
    subject: Subject::Monovisor,
    share: Share::Case("real-mode-grub"),
};

/// The guest without a hypervisor.
pub static BARE_BOCHS: Bochs = Bochs {
    name: "bare@bochs",
    model: CpuModel("zambezi"),
    virtualization: Virtualization::SvmNpt,
    subject: Subject::Guest,
    share: Share::Nothing,
};

impl Engine for Bochs {
    fn name(&self) -> &'static str {
        self.name
    }

    fn availability(&self) -> Result<String, String> {
        bochs::present(self.model).map(|()| format!("Bochs emulates `{}`", self.model.0))
    }

    fn emulator(&self) -> Emulator {
        Emulator::Bochs(self.model)
    }

    fn virtualization(&self) -> Virtualization {
        self.virtualization
    }

    fn subject(&self) -> Subject {
        self.subject
    }

    fn share(&self) -> Share {
        self.share
    }
}
