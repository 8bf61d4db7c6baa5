//! What each CPU offers, seen from that CPU: CPUID and MSRs may differ, and firmware may have locked some and not others.

use crate::{cpu::percpu, smp, time};
use alloc::{sync::Arc, vec::Vec};
use core::arch::x86_64::__cpuid_count;
use hvm::capability::{Capability, Vendor};
use spin::Once;

/// How long the other CPUs may take to answer.
const PATIENCE_NS: u64 = 500_000_000;

fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let it = __cpuid_count(leaf, subleaf);
    [it.eax, it.ebx, it.ecx, it.edx]
}

fn rdmsr(msr: u32) -> u64 {
    // SAFETY: the detectors read only MSRs that CPUID promises.
    unsafe { x86::msr::rdmsr(msr) }
}

/// The CPU that runs this.
fn this_cpu() -> Capability {
    match Vendor::of(&cpuid) {
        Vendor::Amd | Vendor::Hygon => svm_core::capability::detect(&cpuid, &rdmsr),
        Vendor::Intel => vmx_core::capability::detect(&cpuid, &rdmsr),
        Vendor::Other(_) => Capability::unknown(&cpuid),
    }
}

/// All CPUs by index, the boot CPU running this. `None` for one that did not answer.
pub fn all() -> Vec<Option<Capability>> {
    let count = percpu::count();
    let slots: Arc<[Once<Capability>]> = (0..count).map(|_| Once::new()).collect();
    for index in 1..count {
        let slots = slots.clone();
        // A CPU that takes no role keeps its slot empty.
        let _ = smp::run_on(index, move || {
            slots[index].call_once(this_cpu);
        });
    }
    slots[0].call_once(this_cpu);
    if count > 1 {
        time::poll_for(PATIENCE_NS, || slots.iter().all(Once::is_completed));
    }
    slots.iter().map(|slot| slot.get().copied()).collect()
}
