//! What the BIOS keeps of the guest's RAM, and the memory map that says so.
//!
//! At the end of the RAM below 4 GiB: the ACPI tables, which the guest may reclaim, then a page for the services
//! ([`super::scratch`]).

use crate::memory::{Range, RangeKind, e820};
use crate::platform::{DEVICE_HOLE, HIGH_MEMORY};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, PAGE_BYTES};

/// Room for the ACPI tables.
pub const TABLE_BYTES: u64 = 0x1_0000;

/// Where the firmware's parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the RAM below 4 GiB ends for the guest.
    pub low_end: Gpa,
    /// [`TABLE_BYTES`] for ACPI tables.
    pub tables: Gpa,
    /// One page.
    pub scratch: Gpa,
}

impl Layout {
    /// Of that RAM; `None` if there is too little above 1 MiB.
    pub fn of(memory: &GuestMemory) -> Option<Self> {
        let end = memory
            .regions()
            .iter()
            .map(|region| region.gpa.0 + region.bytes)
            .filter(|&end| end <= DEVICE_HOLE.0)
            .max()?;
        let tables = end.checked_sub(TABLE_BYTES + PAGE_BYTES)?;
        (tables > HIGH_MEMORY.0).then_some(Self {
            low_end: Gpa(tables),
            tables: Gpa(tables),
            scratch: Gpa(tables + TABLE_BYTES),
        })
    }
}

/// The E820 map for a guest that boots through the BIOS.
pub fn memory_map(memory: &GuestMemory) -> Vec<Range> {
    let mut map = e820(memory);
    let Some(layout) = Layout::of(memory) else {
        return map;
    };
    let parts = [
        (layout.tables, TABLE_BYTES, RangeKind::AcpiTables),
        (layout.scratch, PAGE_BYTES, RangeKind::Reserved),
    ];
    let end = layout.scratch.0 + PAGE_BYTES;
    let Some(index) = map
        .iter()
        .position(|range| range.base.0 + range.bytes == end)
    else {
        return map;
    };
    map[index].bytes -= end - layout.tables.0;
    for (offset, (base, bytes, kind)) in parts.into_iter().enumerate() {
        map.insert(index + 1 + offset, Range { base, bytes, kind });
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::memory_layout;

    #[test]
    fn the_firmwares_parts_are_cut_from_the_end_of_low_ram() {
        let memory = GuestMemory::anonymous(&memory_layout(16));
        let map = memory_map(&memory);
        let ends: Vec<_> = map
            .iter()
            .skip(3)
            .map(|range| (range.base.0, range.base.0 + range.bytes, range.kind))
            .collect();
        assert_eq!(
            ends,
            [
                (0x10_0000, 0xfe_f000, RangeKind::Ram),
                (0xfe_f000, 0xff_f000, RangeKind::AcpiTables),
                (0xff_f000, 0x100_0000, RangeKind::Reserved),
            ]
        );
    }
}
