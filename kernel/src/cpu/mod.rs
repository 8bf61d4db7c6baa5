//! One CPU: what it can do, its descriptor tables, its exceptions, its interrupts, and the data that is its own.

pub mod control;
pub mod descriptors;
pub mod events;
pub mod exception;
pub mod features;
pub mod idt;
pub mod interrupts;
pub mod live;
pub mod percpu;
pub mod vectors;

pub use events::Events;
pub use percpu::{MAX_CPUS, PerCpu, current, index};

use crate::mem::stack::{self, StackTops};

/// Gives the boot CPU its descriptor tables, exception handlers and per-CPU data. The very first thing after entry: from
/// here on a fault is reported instead of resetting the machine.
pub(crate) fn init_boot_cpu() {
    idt::build();
    percpu::claim_boot_cpu(stack::boot_tops());
    control::init();
}

/// The same for a CPU that was just started, with the slot that the boot CPU prepared.
pub(crate) fn init_started_cpu(cpu: &'static PerCpu) {
    percpu::install(cpu);
    control::init();
}

/// Loads the tables of `cpu` on the CPU that runs this.
fn load_tables(cpu: &'static PerCpu, tops: &StackTops) {
    descriptors::load(cpu.tables(), tops);
    idt::load();
}
