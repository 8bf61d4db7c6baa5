//! What the BIOS keeps of the guest's RAM, and the memory map that says so: at the end of the RAM below 4 GiB the ACPI
//! tables, which the guest may reclaim, and what it may not: the rings of the network card that was booted from, and a page with the
//! FACS.

use crate::memory::{Range, RangeKind, e820};
use crate::platform::{DEVICE_HOLE, HIGH_MEMORY};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, PAGE_BYTES};

/// Room for the tables.
const TABLE_BYTES: u64 = 0xf000;

/// Room for the network card's rings and buffers; with the rest it is whole blocks of 64 KiB, in which older calls count.
const NETWORK_BYTES: u64 = 0x1_0000;

/// Where the tables, the rings and the shared page go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub tables: Gpa,
    pub network: Gpa,
    pub shared: Gpa,
}

impl Layout {
    /// In that RAM; `None` if there is too little above 1 MiB.
    pub fn of(memory: &GuestMemory) -> Option<Self> {
        let end = memory
            .regions()
            .iter()
            .map(|region| region.gpa.0 + region.bytes)
            .filter(|&end| end <= DEVICE_HOLE.0)
            .max()?;
        let shared = end.checked_sub(PAGE_BYTES)?;
        let network = shared.checked_sub(NETWORK_BYTES)?;
        let tables = network.checked_sub(TABLE_BYTES)?;
        (tables > HIGH_MEMORY.0).then_some(Self {
            tables: Gpa(tables),
            network: Gpa(network),
            shared: Gpa(shared),
        })
    }
}

/// The E820 map for a guest that boots through the BIOS.
pub fn memory_map(memory: &GuestMemory) -> Vec<Range> {
    let mut map = e820(memory);
    let Some(layout) = Layout::of(memory) else {
        return map;
    };
    let end = layout.shared.0 + PAGE_BYTES;
    let last = |range: &Range| range.base.0 + range.bytes == end;
    if let Some(index) = map.iter().position(last) {
        map[index].bytes -= TABLE_BYTES + NETWORK_BYTES + PAGE_BYTES;
        let tables = Range {
            base: layout.tables,
            bytes: TABLE_BYTES,
            kind: RangeKind::AcpiTables,
        };
        let shared = Range {
            base: layout.network,
            bytes: NETWORK_BYTES + PAGE_BYTES,
            kind: RangeKind::AcpiShared,
        };
        map.splice(index + 1..index + 1, [tables, shared]);
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
                (0x10_0000, 0xfe_0000, RangeKind::Ram),
                (0xfe_0000, 0xfe_f000, RangeKind::AcpiTables),
                (0xfe_f000, 0x100_0000, RangeKind::AcpiShared),
            ]
        );
    }
}
