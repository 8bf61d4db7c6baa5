//! What a CPU offers of VT-x (SDM vol. 3C, 24.6 and 24.7; vol. 3D, appendix A).

use crate::bits::{
    FEATURE_CONTROL_LOCK, FEATURE_CONTROL_VMX_IN_SMX, FEATURE_CONTROL_VMX_OUTSIDE_SMX, ept_vpid,
    msr, pin, primary, secondary,
};
use crate::controls::{ENTRY_MSRS, EXIT_MSRS, Msrs, allows};
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
    Extension::Usable(features(&Msrs::read(cpuid, rdmsr)))
}

fn features(msrs: &Msrs) -> Features {
    let has = |control| allows(msrs.secondary, control);
    let delivery = secondary::APIC_REGISTER_VIRTUALIZATION | secondary::VIRTUAL_INTERRUPT_DELIVERY;
    Features {
        nested_paging: match (
            has(secondary::EPT),
            msrs.ept_vpid & ept_vpid::HUGE_PAGES != 0,
        ) {
            (false, _) => NestedPaging::Absent,
            (true, false) => NestedPaging::Large,
            (true, true) => NestedPaging::Huge,
        },
        tags: if has(secondary::VPID) { VPIDS } else { 0 },
        apic_virtualization: if has(delivery) {
            ApicVirtualization::Present
        } else {
            ApicVirtualization::Absent
        },
        options: options(msrs),
    }
}

#[rustfmt::skip]
fn options(msrs: &Msrs) -> Options {
    let pin = |control| allows(msrs.pin, control);
    let primary = |control| allows(msrs.primary, control);
    let secondary = |control| allows(msrs.secondary, control);
    let ept_vpid = |bit| msrs.ept_vpid & bit != 0;
    [
        (pin(pin::VIRTUAL_NMIS), Options::VIRTUAL_NMI),
        (pin(pin::PREEMPTION_TIMER), Options::PREEMPTION_TIMER),
        (pin(pin::POSTED_INTERRUPTS), Options::POSTED_INTERRUPTS),
        (primary(primary::TPR_SHADOW), Options::TPR_SHADOW),
        (secondary(secondary::UNRESTRICTED_GUEST), Options::UNRESTRICTED_GUEST),
        (
            secondary(secondary::PAUSE_LOOP_EXITING),
            Options::PAUSE_FILTER | Options::PAUSE_THRESHOLD,
        ),
        (secondary(secondary::VIRTUALIZE_APIC_ACCESSES), Options::APIC_ACCESS_PAGE),
        (secondary(secondary::VIRTUALIZE_X2APIC), Options::X2APIC_VIRTUALIZATION),
        (secondary(secondary::TSC_SCALING), Options::TSC_SCALING),
        (secondary(secondary::PAGE_MODIFICATION_LOG), Options::PAGE_MODIFICATION_LOG),
        (ept_vpid(ept_vpid::DIRTY_BITS), Options::NESTED_DIRTY_BITS),
        (ept_vpid(ept_vpid::INVVPID_SINGLE_CONTEXT), Options::FLUSH_BY_TAG),
        (
            allows(msrs.entry, ENTRY_MSRS) && allows(msrs.exit, EXIT_MSRS),
            Options::MSR_CONTROLS,
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
    fn msrs(values: impl IntoIterator<Item = (u32, u64)>) -> impl Fn(u32) -> u64 {
        let values: BTreeMap<_, _> = values.into_iter().collect();
        move |msr| {
            *values
                .get(&msr)
                .unwrap_or_else(|| panic!("MSR {msr:#x} may not exist"))
        }
    }

    /// Those that every CPU with VMX has and that these tests do not care for.
    const ALWAYS: [(u32, u64); 6] = [
        (msr::IA32_VMX_BASIC, 0),
        (msr::IA32_VMX_MISC, 0),
        (msr::IA32_VMX_CR0_FIXED0, 0),
        (msr::IA32_VMX_CR0_FIXED1, 0),
        (msr::IA32_VMX_CR4_FIXED0, 0),
        (msr::IA32_VMX_CR4_FIXED1, 0),
    ];

    #[test]
    fn skylake() {
        let rdmsr = msrs(
            [
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
            ]
            .into_iter()
            .chain(ALWAYS),
        );
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
        let rdmsr = msrs(
            [
                (msr::IA32_FEATURE_CONTROL, 0),
                (msr::IA32_VMX_PINBASED_CTLS, 0x1f << 32),
                (msr::IA32_VMX_PROCBASED_CTLS, 0x7fff_ffff << 32),
                (msr::IA32_VMX_EXIT_CTLS, 0x3_7fff << 32),
                (msr::IA32_VMX_ENTRY_CTLS, 0x13ff << 32),
            ]
            .into_iter()
            .chain(ALWAYS),
        );
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
            let rdmsr = msrs([(msr::IA32_FEATURE_CONTROL, control)]);
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
        assert_eq!(detect(&intel(0), &msrs([])).extension, Extension::Absent);
    }
}
