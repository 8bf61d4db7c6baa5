//! Rates that the CPU, or a hypervisor under us, simply tells.

use crate::cpu::features::cpuid;
use raw_cpuid::Hypervisor;

/// Leaf with TSC and bus rates in kHz, by VMware's convention; KVM offers it too.
const HYPERVISOR_TIMING_LEAF: u32 = 0x4000_0010;
const HYPERVISOR_BASE_LEAF: u32 = 0x4000_0000;

/// The TSC's rate: leaf 15h if it is complete, else a hypervisor's timing leaf. Leaf 16h is a rounded marketing figure
/// and is not asked.
pub fn tsc_hz() -> Option<u64> {
    let cpuid = cpuid();
    if let Some(hz) = cpuid
        .get_tsc_info()
        .and_then(|info| info.tsc_frequency())
        .filter(|&hz| hz != 0)
    {
        return Some(hz);
    }
    let hypervisor = cpuid.get_hypervisor_info()?;
    let known = matches!(hypervisor.identify(), Hypervisor::KVM | Hypervisor::VMware);
    if !known || raw_cpuid::cpuid!(HYPERVISOR_BASE_LEAF).eax < HYPERVISOR_TIMING_LEAF {
        return None;
    }
    let khz = raw_cpuid::cpuid!(HYPERVISOR_TIMING_LEAF).eax;
    (khz != 0).then(|| u64::from(khz) * 1000)
}

/// True if leaves 15h and 16h, as far as there are any, tell the TSC's rate to one part in a hundred.
pub fn agree_with(tsc_hz: u64) -> bool {
    let cpuid = cpuid();
    let exact = cpuid.get_tsc_info().and_then(|info| info.tsc_frequency());
    let rounded = cpuid
        .get_processor_frequency_info()
        .map(|info| u64::from(info.processor_base_frequency()) * 1_000_000);
    [exact, rounded]
        .into_iter()
        .flatten()
        .filter(|&hz| hz != 0)
        .all(|hz| hz.abs_diff(tsc_hz) <= tsc_hz / 100)
}
