//! In which mode the guest will run, and why; or what keeps every guest from running, and what to do about it.

use core::fmt;
use hvm::capability::{Capability, Extension, Lock, NestedPaging, Technology};

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This make of the extension, with nested paging.
    Nested(Technology),
    /// This make of the extension, with shadow paging.
    Shadow(Technology),
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
    /// A make of the extension that was left out of this build.
    NotBuilt(Technology),
    /// CPUs of different makes.
    Mixed,
}

impl Mode {
    /// The mode that all CPUs allow.
    pub fn of(cpus: &[Option<Capability>]) -> Self {
        let verdicts = cpus.iter().map(|cpu| match cpu {
            Some(cpu) => verdict(cpu),
            None => Err(Obstacle::Silent),
        });
        let agreed = verdicts.reduce(|one, other| match (one?, other?) {
            (one, other) if one == other => Ok(one),
            _ => Err(Obstacle::Mixed),
        });
        match agreed {
            Some(Ok(mode)) => mode,
            Some(Err(obstacle)) => Self::None(obstacle),
            None => Self::None(Obstacle::Silent),
        }
    }
}

fn verdict(cpu: &Capability) -> Result<Mode, Obstacle> {
    let technology = cpu.technology.ok_or(Obstacle::UnknownVendor)?;
    match &cpu.extension {
        Extension::Absent => Err(Obstacle::Absent(technology)),
        Extension::Locked(lock) => Err(Obstacle::Locked(technology, *lock)),
        Extension::NotBuilt => Err(Obstacle::NotBuilt(technology)),
        Extension::Usable(features) => match features.nested_paging {
            NestedPaging::Absent => Ok(Mode::Shadow(technology)),
            NestedPaging::Large | NestedPaging::Huge => Ok(Mode::Nested(technology)),
        },
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested(technology) => write!(
                out,
                "{} with nested paging, because every CPU offers both",
                technology.name()
            ),
            Self::Shadow(technology) => write!(
                out,
                "{} with shadow paging, because this CPU offers no nested paging: {}",
                technology.name(),
                technology.nested_paging_bit()
            ),
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
                write!(
                    out,
                    "this CPU offers no {}: {}",
                    technology.name(),
                    technology.cpuid_bit()
                )
            }
            Self::Locked(technology, lock) => {
                write!(out, "firmware keeps {} off: {lock}", technology.name())
            }
            Self::NotBuilt(technology) => write!(
                out,
                "this build of Monovisor has no code for {}",
                technology.name()
            ),
            Self::Mixed => out.write_str("the CPUs of this machine are of different makes"),
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
const QEMU: &str = "in QEMU, add `-cpu EPYC,+svm,+npt`, or with KVM `-cpu host` and nested virtualization on; in Bochs, `cpu: model=corei7_skylake_x`";

impl fmt::Display for Advice<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Obstacle::Silent => out.write_str("switch the machine off and on again"),
            Obstacle::UnknownVendor | Obstacle::Mixed => {
                write!(
                    out,
                    "use a machine with CPUs of Intel or AMD, all alike; {QEMU}"
                )
            }
            Obstacle::NotBuilt(technology) => write!(
                out,
                "build Monovisor with the feature `{}`, which is on by default",
                match technology {
                    Technology::AmdV => "svm",
                    Technology::VtX => "vmx",
                }
            ),
            Obstacle::Absent(technology) | Obstacle::Locked(technology, _) => write!(
                out,
                "enter the firmware setup, switch {} on, save, and switch the machine off and on again; {QEMU}",
                technology.menu_name()
            ),
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
        assert_eq!(Mode::of(&[good, good]), Mode::Nested(Technology::AmdV));
        assert_eq!(
            Mode::of(&[good, locked]),
            Mode::None(Obstacle::Locked(Technology::AmdV, lock))
        );
        assert_eq!(Mode::of(&[good, None]), Mode::None(Obstacle::Silent));
        let other = cpu(Some(Technology::VtX), usable(NestedPaging::Large));
        assert_eq!(Mode::of(&[other]), Mode::Nested(Technology::VtX));
        assert_eq!(Mode::of(&[good, other]), Mode::None(Obstacle::Mixed));
    }

    #[test]
    fn without_nested_paging_there_is_shadow_paging_and_the_report_says_why() {
        let old = cpu(Some(Technology::AmdV), usable(NestedPaging::Absent));
        let mode = Mode::of(&[old, old]);
        assert_eq!(mode, Mode::Shadow(Technology::AmdV));
        let text = mode.to_string();
        assert!(
            text.contains("shadow paging") && text.contains("NP"),
            "{text}"
        );
        let new = cpu(Some(Technology::AmdV), usable(NestedPaging::Huge));
        assert_eq!(Mode::of(&[old, new]), Mode::None(Obstacle::Mixed));
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
        let (why, advice) = of(Some(Technology::VtX), Extension::NotBuilt);
        assert!(why.contains("no code for VT-x") && advice.contains("`vmx`"));
        assert!(
            format!("{}", Mode::of(&[cpu(None, Extension::Absent)]))
                .contains("neither AMD's nor Intel's")
        );
    }
}
