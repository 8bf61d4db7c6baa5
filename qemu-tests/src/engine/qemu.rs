//! QEMU's own emulation.

use super::{Emulator, Engine, Share, Subject, Virtualization};
use crate::qemu;

/// QEMU's emulation of an AMD CPU with SVM and nested paging.
pub struct SvmNptQemu;

impl Engine for SvmNptQemu {
    fn name(&self) -> &'static str {
        "svm-npt@qemu"
    }

    fn availability(&self) -> Result<String, String> {
        qemu::present().map(|()| "QEMU emulates AMD-V with nested paging".to_owned())
    }

    fn emulator(&self) -> Emulator {
        // MONITOR/MWAIT are off because newer QEMUs offer them and then fault on them.
        Emulator::Qemu(&["-accel", "tcg", "-cpu", "EPYC,+svm,+npt,-monitor"])
    }

    fn virtualization(&self) -> Virtualization {
        Virtualization::SvmNpt
    }
}

/// QEMU's emulation of an AMD CPU with SVM and without nested paging.
pub struct SvmShadowQemu;

impl Engine for SvmShadowQemu {
    fn name(&self) -> &'static str {
        "svm-shadow@qemu"
    }

    fn availability(&self) -> Result<String, String> {
        qemu::present().map(|()| "QEMU emulates AMD-V without nested paging".to_owned())
    }

    fn emulator(&self) -> Emulator {
        Emulator::Qemu(&["-accel", "tcg", "-cpu", "EPYC,+svm,-npt,-monitor"])
    }

    fn virtualization(&self) -> Virtualization {
        Virtualization::SvmShadow
    }

    /// What does not touch paging is tested with nested paging.
    fn share(&self) -> Share {
        Share::OneBoot
    }
}

/// The guest without a hypervisor, on the same emulated machine.
pub struct BareQemu;

impl Engine for BareQemu {
    fn name(&self) -> &'static str {
        "bare@qemu"
    }

    fn availability(&self) -> Result<String, String> {
        qemu::present().map(|()| "QEMU runs the guest alone".to_owned())
    }

    fn emulator(&self) -> Emulator {
        SvmNptQemu.emulator()
    }

    fn virtualization(&self) -> Virtualization {
        SvmNptQemu.virtualization()
    }

    fn subject(&self) -> Subject {
        Subject::Guest
    }

    /// The guest alone is a reference, not a part of the product.
    fn share(&self) -> Share {
        Share::Nothing
    }
}
