//! The functions on PCI, by both ways to configuration space.

use crate::{
    acpi::{Ecam, Platform},
    console::ports::CpuPorts,
    mem::map_mmio,
};
use alloc::vec::Vec;
use drivers::pci::{ConfigMemory, ConfigPorts, Function, scan};
use guest_mem::Hpa;

/// Everything that is found. Segment 0 is read through ports, which costs no mapping; other segments only memory reaches.
pub fn functions(platform: &Platform) -> Vec<Function> {
    // SAFETY: the configuration ports reach no memory, and no other driver uses them yet.
    let mut ports = ConfigPorts(unsafe { CpuPorts::new() });
    let mut found = scan(&mut ports, 0, &[0]);
    for ecam in platform.ecams.iter().filter(|ecam| ecam.segment != 0) {
        found.extend(scan_memory(ecam));
    }
    found
}

fn scan_memory(ecam: &Ecam) -> Vec<Function> {
    let base = ecam.base.0;
    let mut memory = ConfigMemory {
        segment: ecam.segment,
        buses: ecam.first_bus..=ecam.last_bus,
        read: |offset| {
            let register = base
                .checked_add(offset)
                .and_then(|address| map_mmio(Hpa(address), 4));
            // SAFETY: just mapped, uncached, and aligned as `offset` and the base are; reading configuration space has no effect.
            register.map_or(u32::MAX, |register| unsafe {
                register.cast::<u32>().read_volatile()
            })
        },
    };
    scan(&mut memory, ecam.segment, &[ecam.first_bus])
}
