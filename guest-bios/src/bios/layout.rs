//! What the BIOS keeps of the guest's RAM, and the memory map that says so: at the end of the RAM below 4 GiB the ACPI
//! tables, which the guest may reclaim.

use crate::memory::{Range, RangeKind, e820};
use crate::platform::{DEVICE_HOLE, HIGH_MEMORY};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory};

/// Room for the ACPI tables.
pub const TABLE_BYTES: u64 = 0x1_0000;

/// Where the ACPI tables go; `None` if there is too little RAM above 1 MiB.
pub fn tables(memory: &GuestMemory) -> Option<Gpa> {
    let end = memory
        .regions()
        .iter()
        .map(|region| region.gpa.0 + region.bytes)
        .filter(|&end| end <= DEVICE_HOLE.0)
        .max()?;
    let tables = end.checked_sub(TABLE_BYTES)?;
    (tables > HIGH_MEMORY.0).then_some(Gpa(tables))
}

/// The E820 map for a guest that boots through the BIOS.
pub fn memory_map(memory: &GuestMemory) -> Vec<Range> {
    let mut map = e820(memory);
    let Some(base) = tables(memory) else {
        return map;
    };
    let end = base.0 + TABLE_BYTES;
    let last = |range: &Range| range.base.0 + range.bytes == end;
    if let Some(index) = map.iter().position(last) {
        map[index].bytes -= TABLE_BYTES;
        let range = Range {
            base,
            bytes: TABLE_BYTES,
            kind: RangeKind::AcpiTables,
        };
        map.insert(index + 1, range);
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
                (0x10_0000, 0xff_0000, RangeKind::Ram),
                (0xff_0000, 0x100_0000, RangeKind::AcpiTables),
            ]
        );
    }
}
