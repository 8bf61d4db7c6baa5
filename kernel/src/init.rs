//! Everything in order.

use crate::acpi::Platform;
use crate::{acpi, apic, mem, smp, time};
use boot::BootInfo;

/// What came up.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// The firmware's description of the machine.
    pub platform: &'static Platform,
    /// CPUs that the firmware lists and that did not start.
    pub silent_cpus: usize,
}

/// Brings up memory, firmware tables, interrupt controllers, clocks, and the other CPUs, which then wait for
/// [`smp::run_on`]. Once, on the boot CPU, from the function named with [`crate::entry!`]. Interrupts are still off
/// afterwards.
pub fn init(boot: &'static BootInfo) -> Parts {
    mem::init(boot);
    let platform = acpi::init(boot);
    apic::init(platform);
    time::knob::read(boot);
    time::start(platform);
    let silent_cpus = smp::start_all(&platform.madt.processors);
    time::judge_counters(platform);
    Parts {
        platform,
        silent_cpus,
    }
}
