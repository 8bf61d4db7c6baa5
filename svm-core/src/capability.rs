//! What a CPU offers of AMD-V (APM vol. 2, 15.4 and 15.30.1; APM vol. 3, E.4.9).

use crate::bits::msr::VM_CR;
use hvm::capability::{
    ApicVirtualization, Capability, Extension, Features, Lock, Model, MsrSource, NestedPaging,
    Options, Technology, Vendor,
};
use hvm::cpuid::Source;

const MAX_EXTENDED_LEAF: u32 = 0x8000_0000;
const EXTENDED_FEATURES: u32 = 0x8000_0001;
const EXTENDED_FEATURES_ECX_SVM: u32 = 1 << 2;
const EXTENDED_FEATURES_EDX_HUGE_PAGES: u32 = 1 << 26;
/// SVM's own leaf: EBX counts ASIDs, ASID 0 included, which is the host's; EDX lists features.
const SVM_FEATURES: u32 = 0x8000_000a;
const SVM_EDX_NESTED_PAGING: u32 = 1;
const SVM_EDX_AVIC: u32 = 1 << 13;
/// EDX bits that are options, in neutral form.
const SVM_EDX_OPTIONS: [(u32, Options); 8] = [
    (1 << 3, Options::NEXT_RIP),
    (1 << 4, Options::TSC_SCALING),
    (1 << 5, Options::CLEAN_BITS),
    (1 << 6, Options::FLUSH_BY_TAG),
    (1 << 7, Options::DECODE_ASSISTS),
    (1 << 10, Options::PAUSE_FILTER),
    (1 << 12, Options::PAUSE_THRESHOLD),
    (1 << 25, Options::VIRTUAL_NMI),
];
/// QEMU's own emulation names itself where hypervisors do: EBX, ECX, EDX.
const HYPERVISOR: u32 = 0x4000_0000;
const TCG: [u32; 3] = [0x5447_4354, 0x4354_4743, 0x4743_5447];
const VM_CR_LOCK: u64 = 1 << 3;
const VM_CR_SVMDIS: u64 = 1 << 4;

/// Looks at the CPU whose CPUID and RDMSR are given, which must be one of AMD's design.
pub fn detect(cpuid: Source<'_>, rdmsr: MsrSource<'_>) -> Capability {
    Capability {
        vendor: Vendor::of(cpuid),
        model: Model::of(cpuid),
        technology: Some(Technology::AmdV),
        extension: extension(cpuid, rdmsr),
    }
}

fn extension(cpuid: Source<'_>, rdmsr: MsrSource<'_>) -> Extension {
    let present = cpuid(MAX_EXTENDED_LEAF, 0)[0] >= SVM_FEATURES
        && cpuid(EXTENDED_FEATURES, 0)[2] & EXTENDED_FEATURES_ECX_SVM != 0;
    if !present {
        return Extension::Absent;
    }
    let vm_cr = rdmsr(VM_CR);
    if vm_cr & VM_CR_SVMDIS != 0 {
        let what = match vm_cr & VM_CR_LOCK {
            0 => "VM_CR: SVMDIS (bit 4) is set",
            _ => "VM_CR: SVMDIS (bit 4) and LOCK (bit 3) are set",
        };
        return Extension::Locked(Lock { msr: VM_CR, what });
    }
    Extension::Usable(features(cpuid))
}

fn features(cpuid: Source<'_>) -> Features {
    let [_, asids, _, edx] = cpuid(SVM_FEATURES, 0);
    let huge_pages = cpuid(EXTENDED_FEATURES, 0)[3] & EXTENDED_FEATURES_EDX_HUGE_PAGES != 0;
    // Real mode and paging off always run as they are under AMD-V (APM vol. 2, 15.19).
    let mut always = Options::UNRESTRICTED_GUEST;
    // Nested tables are page tables like any other, and have their bits (APM vol. 2, 15.25.5).
    always.set(Options::NESTED_DIRTY_BITS, edx & SVM_EDX_NESTED_PAGING != 0);
    let [_, name @ ..] = cpuid(HYPERVISOR, 0);
    // It may deliver an injected interrupt a second time, whatever RFLAGS.IF says (docs/engines.md).
    always.set(Options::VIRTUAL_INTERRUPT, name == TCG);
    Features {
        nested_paging: match (edx & SVM_EDX_NESTED_PAGING != 0, huge_pages) {
            (false, _) => NestedPaging::Absent,
            (true, false) => NestedPaging::Large,
            (true, true) => NestedPaging::Huge,
        },
        tags: asids.saturating_sub(1),
        apic_virtualization: match edx & SVM_EDX_AVIC {
            0 => ApicVirtualization::Absent,
            _ => ApicVirtualization::Present,
        },
        options: SVM_EDX_OPTIONS
            .iter()
            .filter(|(bit, _)| edx & bit != 0)
            .fold(always, |all, (_, option)| all | *option),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU's `-cpu EPYC,+svm,+npt`, with `svm_edx` in the features' place.
    fn epyc(svm_edx: u32) -> impl Fn(u32, u32) -> [u32; 4] {
        move |leaf, _| match leaf {
            0 => [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65],
            MAX_EXTENDED_LEAF => [0x8000_000a, 0, 0, 0],
            EXTENDED_FEATURES => [
                0,
                0,
                EXTENDED_FEATURES_ECX_SVM,
                EXTENDED_FEATURES_EDX_HUGE_PAGES,
            ],
            SVM_FEATURES => [1, 16, 0, svm_edx],
            _ => [0; 4],
        }
    }

    #[test]
    fn a_usable_cpu() {
        let found = detect(&epyc(1 | 1 << 3 | 1 << 13), &|_| 0);
        assert_eq!(found.vendor, Vendor::Amd);
        let Extension::Usable(features) = found.extension else {
            panic!("{found}")
        };
        assert_eq!(features.nested_paging, NestedPaging::Huge);
        assert_eq!(features.tags, 15);
        assert_eq!(features.apic_virtualization, ApicVirtualization::Present);
        assert_eq!(
            features.options,
            Options::NEXT_RIP | Options::UNRESTRICTED_GUEST | Options::NESTED_DIRTY_BITS
        );
    }

    #[test]
    fn an_emulator_that_repeats_interrupts_is_known_by_its_name() {
        let named = |leaf, index| match leaf {
            HYPERVISOR => {
                let word = |text: &[u8; 4]| u32::from_le_bytes(*text);
                [0x4000_0001, word(b"TCGT"), word(b"CGTC"), word(b"GTCG")]
            }
            _ => epyc(1)(leaf, index),
        };
        let Extension::Usable(features) = detect(&named, &|_| 0).extension else {
            panic!()
        };
        assert!(features.options.contains(Options::VIRTUAL_INTERRUPT));
    }

    #[test]
    fn without_nested_paging_it_is_usable_all_the_same() {
        let Extension::Usable(features) = detect(&epyc(0), &|_| VM_CR_LOCK).extension else {
            panic!()
        };
        assert_eq!(features.nested_paging, NestedPaging::Absent);
        assert!(!features.options.contains(Options::NESTED_DIRTY_BITS));
    }

    #[test]
    fn firmware_locks_are_named() {
        for (vm_cr, bits) in [
            (VM_CR_SVMDIS, "SVMDIS (bit 4) is set"),
            (VM_CR_SVMDIS | VM_CR_LOCK, "LOCK (bit 3)"),
        ] {
            let rdmsr = |msr| {
                if msr == VM_CR {
                    vm_cr
                } else {
                    panic!("MSR {msr:#x}")
                }
            };
            let Extension::Locked(lock) = detect(&epyc(1), &rdmsr).extension else {
                panic!()
            };
            assert_eq!(lock.msr, 0xc001_0114);
            assert!(lock.what.contains(bits));
        }
    }

    #[test]
    fn a_cpu_without_svm_is_asked_for_no_msr() {
        let no_bit = |leaf, index| {
            let [eax, ebx, ecx, edx] = epyc(1)(leaf, index);
            [
                eax,
                ebx,
                if leaf == EXTENDED_FEATURES { 0 } else { ecx },
                edx,
            ]
        };
        let no_leaf = |leaf, index| {
            if leaf == MAX_EXTENDED_LEAF {
                [0x8000_0008, 0, 0, 0]
            } else {
                epyc(1)(leaf, index)
            }
        };
        let rdmsr = |msr: u32| panic!("MSR {msr:#x} may not exist");
        assert_eq!(detect(&no_bit, &rdmsr).extension, Extension::Absent);
        assert_eq!(detect(&no_leaf, &rdmsr).extension, Extension::Absent);
    }
}
