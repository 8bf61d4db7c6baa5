//! What the boot CPU offers of what the kernel itself uses. The VMM asks CPUID for its own needs.

use raw_cpuid::{CpuId, CpuIdReaderNative};
use spin::Once;

/// The features that change what the kernel does.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// 1 GiB pages.
    pub huge_pages: bool,
    /// The no-execute bit.
    pub no_execute: bool,
    /// Local APIC with MSR registers and 32-bit ids.
    pub x2apic: bool,
    /// A local APIC timer that fires at a TSC value.
    pub tsc_deadline: bool,
    /// A TSC that runs at one rate whatever the power state.
    pub invariant_tsc: bool,
    /// Supervisor-mode execution prevention.
    pub smep: bool,
    /// Supervisor-mode access prevention.
    pub smap: bool,
    /// User-mode instruction prevention.
    pub umip: bool,
    /// XSAVE, and with it XCR0.
    pub xsave: bool,
}

/// CPUID, typed.
pub fn cpuid() -> CpuId<CpuIdReaderNative> {
    CpuId::with_cpuid_reader(CpuIdReaderNative)
}

/// The features, read once.
pub fn features() -> &'static Features {
    static FEATURES: Once<Features> = Once::new();
    FEATURES.call_once(|| {
        let cpuid = cpuid();
        let basic = cpuid.get_feature_info();
        let extended = cpuid.get_extended_feature_info();
        let amd = cpuid.get_extended_processor_and_feature_identifiers();
        let power = cpuid.get_advanced_power_mgmt_info();
        Features {
            huge_pages: amd.as_ref().is_some_and(|it| it.has_1gib_pages()),
            no_execute: amd.as_ref().is_some_and(|it| it.has_execute_disable()),
            x2apic: basic.as_ref().is_some_and(|it| it.has_x2apic()),
            tsc_deadline: basic.as_ref().is_some_and(|it| it.has_tsc_deadline()),
            invariant_tsc: power.as_ref().is_some_and(|it| it.has_invariant_tsc()),
            smep: extended.as_ref().is_some_and(|it| it.has_smep()),
            smap: extended.as_ref().is_some_and(|it| it.has_smap()),
            umip: extended.as_ref().is_some_and(|it| it.has_umip()),
            xsave: basic.as_ref().is_some_and(|it| it.has_xsave()),
        }
    })
}

/// 1 GiB pages exist.
pub fn huge_pages() -> bool {
    features().huge_pages
}

/// The no-execute bit exists.
pub fn no_execute() -> bool {
    features().no_execute
}
