//! In which mode the guest will run, and why; or what keeps every guest from running, and what to do about it.

use core::fmt;
use hvm::capability::{Capability, Extension, Lock, NestedPaging, Technology};

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// AMD-V with nested paging.
    AmdVNested,
    /// No guest can run.
    None(Obstacle),
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A CPU did not answer.
    Silent,
    /// A vendor whose extension we do not know.
    UnknownVendor,
    /// The CPU has or shows no extension.
    Absent(Technology),
    /// Firmware keeps it off.
    Locked(Technology, Lock),
    /// AMD-V without nested paging.
    NoNestedPaging,
    /// VT-x, for which this version has no engine.
    VtX,
}

impl Mode {
    /// The mode that all CPUs allow.
    pub fn of(cpus: &[Option<Capability>]) -> Self {
        let obstacle = cpus.iter().find_map(|cpu| match cpu {
            Some(cpu) => obstacle(cpu),
            None => Some(Obstacle::Silent),
        });
        obstacle.map_or(Self::AmdVNested, Self::None)
    }
}

fn obstacle(cpu: &Capability) -> Option<Obstacle> {
    let Some(technology) = cpu.technology else {
        return Some(Obstacle::UnknownVendor);
    };
    match (technology, &cpu.extension) {
        (_, Extension::Absent) => Some(Obstacle::Absent(technology)),
        (_, Extension::Locked(lock)) => Some(Obstacle::Locked(technology, *lock)),
        (Technology::VtX, Extension::Usable(_)) => Some(Obstacle::VtX),
        (Technology::AmdV, Extension::Usable(features)) => match features.nested_paging {
            NestedPaging::Absent => Some(Obstacle::NoNestedPaging),
            NestedPaging::Large | NestedPaging::Huge => None,
        },
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AmdVNested => {
                out.write_str("AMD-V with nested paging, because every CPU offers both")
            }
            Self::None(obstacle) => write!(out, "none, because {obstacle}"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => out.write_str("a CPU did not tell what it offers"),
            Self::UnknownVendor => out.write_str("this CPU is neither AMD's nor Intel's"),
            Self::Absent(technology) => {
                write!(out, "this CPU offers no {}: {}", technology.name(), technology.cpuid_bit())
            }
            Self::Locked(technology, lock) => {
                write!(out, "firmware keeps {} off: {lock}", technology.name())
            }
            Self::NoNestedPaging => {
                out.write_str("this CPU offers no nested paging: CPUID 8000_000Ah.EDX[0] (NP) is 0")
            }
            Self::VtX => out.write_str(
                "VT-x is usable, but this version of Monovisor runs guests on AMD-V only; VT-x follows",
            ),
        }
    }
}

impl Obstacle {
    /// What the owner can do.
    pub fn advice(&self) -> Advice<'_> {
        Advice(self)
    }
}

/// What to do about an [`Obstacle`], for people.
pub struct Advice<'a>(&'a Obstacle);

/// Under an emulator or another hypervisor.
const QEMU: &str =
    "in QEMU, add `-cpu EPYC,+svm,+npt`, or with KVM `-cpu host` and nested virtualization on";

impl fmt::Display for Advice<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Obstacle::Silent => out.write_str("switch the machine off and on again"),
            Obstacle::UnknownVendor | Obstacle::VtX => {
                write!(out, "use a machine with an AMD CPU; {QEMU}")
            }
            Obstacle::Absent(technology) | Obstacle::Locked(technology, _) => write!(
                out,
                "enter the firmware setup, switch {} on, save, and switch the machine off and on again; {QEMU}",
                technology.menu_name()
            ),
            Obstacle::NoNestedPaging => {
                write!(
                    out,
                    "use a CPU with NPT, because shadow paging is not there yet; {QEMU}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::capability::{ApicVirtualization, Features, Options};
    use std::{format, string::ToString};

    fn cpu(technology: Option<Technology>, extension: Extension) -> Option<Capability> {
        Some(Capability {
            technology,
            extension,
            ..Capability::unknown(&|_, _| [0; 4])
        })
    }

    fn usable(nested_paging: NestedPaging) -> Extension {
        let apic_virtualization = ApicVirtualization::Absent;
        Extension::Usable(Features {
            nested_paging,
            tags: 15,
            apic_virtualization,
            options: Options::empty(),
        })
    }

    #[test]
    fn all_cpus_must_agree() {
        let good = cpu(Some(Technology::AmdV), usable(NestedPaging::Huge));
        let lock = Lock {
            msr: 0xc001_0114,
            what: "VM_CR: SVMDIS (bit 4) is set",
        };
        let locked = cpu(Some(Technology::AmdV), Extension::Locked(lock));
        assert_eq!(Mode::of(&[good, good]), Mode::AmdVNested);
        assert_eq!(
            Mode::of(&[good, locked]),
            Mode::None(Obstacle::Locked(Technology::AmdV, lock))
        );
        assert_eq!(Mode::of(&[good, None]), Mode::None(Obstacle::Silent));
    }

    #[test]
    fn every_obstacle_names_what_is_missing_and_what_to_do() {
        let of = |technology, extension| match Mode::of(&[cpu(technology, extension)]) {
            Mode::None(obstacle) => (obstacle.to_string(), obstacle.advice().to_string()),
            mode => panic!("{mode}"),
        };
        let (why, advice) = of(Some(Technology::AmdV), Extension::Absent);
        assert!(
            why.contains("8000_0001h.ECX[2]") && advice.contains("SVM Mode"),
            "{why}; {advice}"
        );
        assert!(advice.contains("-cpu EPYC,+svm,+npt"));
        let (why, advice) = of(Some(Technology::VtX), Extension::Absent);
        assert!(
            why.contains("CPUID 1.ECX[5]") && advice.contains("Intel Virtualization"),
            "{why}; {advice}"
        );
        let (why, _) = of(Some(Technology::VtX), usable(NestedPaging::Huge));
        assert!(why.contains("VT-x is usable") && why.contains("AMD-V only"));
        let (why, advice) = of(Some(Technology::AmdV), usable(NestedPaging::Absent));
        assert!(why.contains("NP") && advice.contains("shadow"));
        assert!(
            format!("{}", Mode::of(&[cpu(None, Extension::Absent)]))
                .contains("neither AMD's nor Intel's")
        );
    }
}
