//! What a CPU offers of VT-x (SDM vol. 3C, 24.6 and 24.7; vol. 3D, appendix A).

use crate::bits::{
    FEATURE_CONTROL_LOCK, FEATURE_CONTROL_VMX_IN_SMX, FEATURE_CONTROL_VMX_OUTSIDE_SMX, ept_vpid,
    msr, pin, primary, secondary,
};
use crate::controls::{ENTRY_MSRS, EXIT_MSRS};
use hvm::capability::{
    ApicVirtualization, Capability, Extension, Features, Lock, Model, MsrSource, NestedPaging,
    Options, Technology, Vendor,
};
use hvm::cpuid::Source;

const BASIC_FEATURES: u32 = 1;
const BASIC_FEATURES_ECX_VMX: u32 = 1 << 5;
/// VPIDs have 16 bits, and 0 is the host's.
const VPIDS: u32 = 0xffff;

/// Looks at the CPU whose CPUID and RDMSR are given, which must be Intel's.
pub fn detect(cpuid: Source<'_>, rdmsr: MsrSource<'_>) -> Capability {
    Capability {
        vendor: Vendor::of(cpuid),
        model: Model::of(cpuid),
        technology: Some(Technology::VtX),
        extension: extension(cpuid, rdmsr),
    }
}

fn extension(cpuid: Source<'_>, rdmsr: MsrSource<'_>) -> Extension {
    if cpuid(BASIC_FEATURES, 0)[2] & BASIC_FEATURES_ECX_VMX == 0 {
        return Extension::Absent;
    }
    let control = rdmsr(msr::IA32_FEATURE_CONTROL);
    // Unlocked, the bit is ours to set.
    if control & FEATURE_CONTROL_LOCK != 0 && control & FEATURE_CONTROL_VMX_OUTSIDE_SMX == 0 {
        let what = match control & FEATURE_CONTROL_VMX_IN_SMX {
            0 => "IA32_FEATURE_CONTROL: lock (bit 0) is set, VMX outside SMX (bit 2) is not",
            _ => {
                "IA32_FEATURE_CONTROL: lock (bit 0) is set and VMX is allowed inside SMX only (bit 1, not bit 2)"
            }
        };
        return Extension::Locked(Lock {
            msr: msr::IA32_FEATURE_CONTROL,
            what,
        });
    }
    Extension::Usable(features(rdmsr))
}

/// The controls that may be set to 1: the upper half of a control's capability MSR (SDM vol. 3D, A.3).
fn allowed(rdmsr: MsrSource<'_>, register: u32) -> u32 {
    (rdmsr(register) >> 32) as u32
}

fn features(rdmsr: MsrSource<'_>) -> Features {
    let pins = allowed(rdmsr, msr::IA32_VMX_PINBASED_CTLS);
    let primaries = allowed(rdmsr, msr::IA32_VMX_PROCBASED_CTLS);
    let has_secondary = primaries & primary::SECONDARY_CONTROLS != 0;
    let switches = allowed(rdmsr, msr::IA32_VMX_ENTRY_CTLS) & ENTRY_MSRS == ENTRY_MSRS
        && allowed(rdmsr, msr::IA32_VMX_EXIT_CTLS) & EXIT_MSRS == EXIT_MSRS;
    let controls = if has_secondary {
        allowed(rdmsr, msr::IA32_VMX_PROCBASED_CTLS2)
    } else {
        0
    };
    let has = |control| controls & control != 0;
    let ept_vpid = match controls & (secondary::EPT | secondary::VPID) {
        0 => 0,
        _ => rdmsr(msr::IA32_VMX_EPT_VPID_CAP),
    };
    Features {
        nested_paging: match (has(secondary::EPT), ept_vpid & ept_vpid::HUGE_PAGES != 0) {
            (false, _) => NestedPaging::Absent,
            (true, false) => NestedPaging::Large,
            (true, true) => NestedPaging::Huge,
        },
        tags: if has(secondary::VPID) { VPIDS } else { 0 },
        apic_virtualization: if has(secondary::APIC_REGISTER_VIRTUALIZATION)
            && has(secondary::VIRTUAL_INTERRUPT_DELIVERY)
        {
            ApicVirtualization::Present
        } else {
            ApicVirtualization::Absent
        },
        options: options(pins, primaries, controls, ept_vpid)
            | if switches {
                Options::MSR_CONTROLS
            } else {
                Options::empty()
            },
    }
}

fn options(pins: u32, primaries: u32, controls: u32, ept_vpid: u64) -> Options {
    [
        (pins & pin::VIRTUAL_NMIS != 0, Options::VIRTUAL_NMI),
        (primaries & primary::TPR_SHADOW != 0, Options::TPR_SHADOW),
        (pins & pin::PREEMPTION_TIMER != 0, Options::PREEMPTION_TIMER),
        (
            pins & pin::POSTED_INTERRUPTS != 0,
            Options::POSTED_INTERRUPTS,
        ),
        (
            controls & secondary::UNRESTRICTED_GUEST != 0,
            Options::UNRESTRICTED_GUEST,
        ),
        (
            controls & secondary::PAUSE_LOOP_EXITING != 0,
            Options::PAUSE_FILTER,
        ),
        (
            controls & secondary::VIRTUALIZE_APIC_ACCESSES != 0,
            Options::APIC_ACCESS_PAGE,
        ),
        (
            controls & secondary::VIRTUALIZE_X2APIC != 0,
            Options::X2APIC_VIRTUALIZATION,
        ),
        (controls & secondary::TSC_SCALING != 0, Options::TSC_SCALING),
        (
            controls & secondary::PAGE_MODIFICATION_LOG != 0,
            Options::PAGE_MODIFICATION_LOG,
        ),
        (
            ept_vpid & ept_vpid::DIRTY_BITS != 0,
            Options::NESTED_DIRTY_BITS,
        ),
        (
            ept_vpid & ept_vpid::INVVPID_SINGLE_CONTEXT != 0,
            Options::FLUSH_BY_TAG,
        ),
    ]
    .into_iter()
    .filter(|(present, _)| *present)
    // Exits of VT-x tell the instruction's length always (SDM vol. 3C, 28.2.5).
    .fold(Options::NEXT_RIP, |all, (_, option)| all | option)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn intel(ecx: u32) -> impl Fn(u32, u32) -> [u32; 4] {
        move |leaf, _| match leaf {
            0 => [0x16, 0x756e_6547, 0x6c65_746e, 0x4965_6e69],
            BASIC_FEATURES => [0, 0, ecx, 0],
            _ => [0; 4],
        }
    }

    /// An MSR file in which reading what is not there fails the test.
    fn msrs(values: &[(u32, u64)]) -> impl Fn(u32) -> u64 + use<> {
        let values: BTreeMap<_, _> = values.iter().copied().collect();
        move |msr| {
            *values
                .get(&msr)
                .unwrap_or_else(|| panic!("MSR {msr:#x} may not exist"))
        }
    }

    #[test]
    fn skylake() {
        let rdmsr = msrs(&[
            (msr::IA32_FEATURE_CONTROL, 5),
            (msr::IA32_VMX_PINBASED_CTLS, 0x7f << 32),
            (msr::IA32_VMX_PROCBASED_CTLS, 0xffff_ffff << 32),
            (msr::IA32_VMX_PROCBASED_CTLS2, 0xffff_ffff << 32),
            (msr::IA32_VMX_EXIT_CTLS, 0x7f_ffff << 32),
            (msr::IA32_VMX_ENTRY_CTLS, 0xffff << 32),
            (
                msr::IA32_VMX_EPT_VPID_CAP,
                ept_vpid::HUGE_PAGES | ept_vpid::DIRTY_BITS,
            ),
        ]);
        let found = detect(&intel(BASIC_FEATURES_ECX_VMX), &rdmsr);
        assert_eq!(found.vendor, Vendor::Intel);
        let Extension::Usable(features) = found.extension else {
            panic!("{found}")
        };
        assert_eq!(features.nested_paging, NestedPaging::Huge);
        assert_eq!(features.tags, 65535);
        assert_eq!(features.apic_virtualization, ApicVirtualization::Present);
        assert!(features.options.contains(
            Options::UNRESTRICTED_GUEST
                | Options::PREEMPTION_TIMER
                | Options::PAGE_MODIFICATION_LOG
        ));
        assert!(
            !features
                .options
                .intersects(Options::POSTED_INTERRUPTS | Options::FLUSH_BY_TAG)
        );
    }

    #[test]
    fn the_first_cpus_have_no_secondary_controls() {
        let rdmsr = msrs(&[
            (msr::IA32_FEATURE_CONTROL, 0),
            (msr::IA32_VMX_PINBASED_CTLS, 0x1f << 32),
            (msr::IA32_VMX_PROCBASED_CTLS, 0x7fff_ffff << 32),
            (msr::IA32_VMX_EXIT_CTLS, 0x3_7fff << 32),
            (msr::IA32_VMX_ENTRY_CTLS, 0x13ff << 32),
        ]);
        let Extension::Usable(features) = detect(&intel(BASIC_FEATURES_ECX_VMX), &rdmsr).extension
        else {
            panic!()
        };
        assert_eq!(features.nested_paging, NestedPaging::Absent);
        assert_eq!(features.tags, 0);
        assert_eq!(features.options, Options::NEXT_RIP | Options::TPR_SHADOW);
    }

    #[test]
    fn firmware_locks_are_named() {
        for (control, bits) in [
            (1, "VMX outside SMX (bit 2) is not"),
            (3, "inside SMX only"),
        ] {
            let rdmsr = msrs(&[(msr::IA32_FEATURE_CONTROL, control)]);
            let Extension::Locked(lock) = detect(&intel(BASIC_FEATURES_ECX_VMX), &rdmsr).extension
            else {
                panic!()
            };
            assert_eq!(lock.msr, 0x3a);
            assert!(lock.what.contains(bits), "{lock}");
        }
    }

    #[test]
    fn a_cpu_without_vmx_is_asked_for_no_msr() {
        assert_eq!(detect(&intel(0), &msrs(&[])).extension, Extension::Absent);
    }
}
