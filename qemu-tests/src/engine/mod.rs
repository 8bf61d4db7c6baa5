//! Engines: what executes the machine that Monovisor boots on.

mod bochs;
mod kvm;
mod qemu;

use crate::bochs::CpuModel;
use crate::loader::{Firmware, Loader};
pub use bochs::{
    BARE_BOCHS, SVM_NPT_BOCHS, SVM_SHADOW_BOCHS, VMX_EPT_BOCHS, VMX_EPT_RESTRICTED_BOCHS,
    VMX_SHADOW_BOCHS,
};
pub use kvm::HostKvm;
pub use qemu::{BareQemu, SvmNptQemu, SvmShadowQemu};

/// Something that can execute a machine.
pub trait Engine: Sync {
    /// The name that `--engine` takes: virtualization mode at emulator.
    fn name(&self) -> &'static str;

    /// Whether it works on this computer: the reason for it, or against it, in words.
    fn availability(&self) -> Result<String, String>;

    /// The program that executes it, and with which CPU.
    fn emulator(&self) -> Emulator;

    /// The CPU's kind of virtualization.
    fn virtualization(&self) -> Virtualization;

    /// What it boots.
    fn subject(&self) -> Subject {
        Subject::Monovisor
    }

    /// What of the suite it runs where a full run was not asked for.
    fn share(&self) -> Share {
        Share::Suite
    }
}

/// An engine's part in runs of the suite that are not full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All that fits it, but what is for full runs.
    Suite,
    /// One boot, because it is slow.
    OneBoot,
    /// The case of this name.
    Case(&'static str),
    /// Nothing.
    Nothing,
}

/// What is booted on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Monovisor with the guest in its bundle.
    Monovisor,
    /// The guest itself: the reference that says whether a test and its guest are right.
    Guest,
}

/// A vendor's virtualization with its nested paging, or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Virtualization {
    /// AMD-V.
    SvmNpt,
    /// VT-x.
    VmxEpt,
    /// AMD-V, and shadow paging.
    SvmShadow,
    /// VT-x, and shadow paging.
    VmxShadow,
}

impl Virtualization {
    /// What the capability report calls it.
    pub fn words(self) -> [&'static str; 2] {
        match self {
            Self::SvmNpt => ["AMD-V", "NPT"],
            Self::VmxEpt => ["VT-x", "EPT"],
            Self::SvmShadow => ["AMD-V", "shadow paging"],
            Self::VmxShadow => ["VT-x", "shadow paging"],
        }
    }
}

/// An emulator and how it is told which CPU to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulator {
    /// QEMU, with the arguments that choose accelerator and CPU.
    Qemu(&'static [&'static str]),
    /// Bochs with one of its CPU models.
    Bochs(CpuModel),
}

impl Emulator {
    /// How it boots where that does not matter.
    pub fn loader(self) -> Loader {
        match self {
            Self::Qemu(_) => Loader::Direct(Firmware::Bios),
            Self::Bochs(_) => Loader::Iso(Firmware::Bios),
        }
    }

    /// By how much it is slower than QEMU's emulation, so by how much more time a test allows.
    pub fn slowness(self) -> u32 {
        match self {
            Self::Qemu(_) => 1,
            Self::Bochs(_) => 5,
        }
    }

    /// Words for the command line of a guest's kernel that spare a slow emulator work.
    pub fn kernel_options(self) -> &'static str {
        match self {
            Self::Qemu(_) => "",
            // The kernel's banner is a notice, level 5; nearly all else that a boot prints is above. A third of a boot's
            // instructions are the self-tests of its cryptography, which has many forms for CPUs with AVX.
            Self::Bochs(_) => " loglevel=6 cryptomgr.notests",
        }
    }

    /// Lines of `monovisor.toml` that keep clear of an emulator's mistakes.
    pub fn settings(self) -> &'static str {
        match self {
            Self::Qemu(_) => "",
            // Bochs 2.7 delivers a pending virtual interrupt although the guest's IF is clear if a host interrupt comes at that
            // moment: a guest that holds a lock then waits for itself, about once in a hundred commands of a shell.
            Self::Bochs(_) => "without = \"apicv\"\n",
        }
    }
}

/// Every engine; those that need real hardware first, the guest alone last.
pub const ENGINES: [&dyn Engine; 10] = [
    &HostKvm,
    &SvmNptQemu,
    &SvmShadowQemu,
    &SVM_NPT_BOCHS,
    &SVM_SHADOW_BOCHS,
    &VMX_EPT_BOCHS,
    &VMX_EPT_RESTRICTED_BOCHS,
    &VMX_SHADOW_BOCHS,
    &BareQemu,
    &BARE_BOCHS,
];

/// The engine of that name, or an error that lists the names.
pub fn by_name(name: &str) -> anyhow::Result<&'static dyn Engine> {
    let found = ENGINES.into_iter().find(|engine| engine.name() == name);
    let names = || ENGINES.map(|engine| engine.name()).join(", ");
    found.ok_or_else(|| anyhow::anyhow!("there is no engine `{name}`; the engines are {}", names()))
}

/// The best engine of this computer, and why it was chosen.
pub fn choose() -> anyhow::Result<(&'static dyn Engine, String)> {
    let refusal = match HostKvm.availability() {
        Ok(reason) => return Ok((&HostKvm, reason)),
        Err(refusal) => refusal,
    };
    match SvmNptQemu.availability() {
        Ok(reason) => Ok((
            &SvmNptQemu,
            format!("{reason}; not {}: {refusal}", HostKvm.name()),
        )),
        Err(reason) => Err(anyhow::anyhow!(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_found_by_its_own_name() {
        for engine in ENGINES {
            assert_eq!(by_name(engine.name()).unwrap().name(), engine.name());
        }
        let error = by_name("svm-npt@florizel").err().unwrap().to_string();
        assert!(error.contains("vmx-ept@bochs"), "{error}");
    }
}
