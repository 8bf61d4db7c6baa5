//! Guest RAM: where it lies, and the map of it that the guest is told (E820).

use crate::platform::{ABOVE_4G, DEVICE_HOLE, EBDA, FIRMWARE, HIGH_MEMORY, VGA, VGA_END};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory};

/// Least RAM that the layout has room for, in MiB.
pub const MIN_MEMORY_MIB: u64 = 2;

const MIB: u64 = 1 << 20;

/// The pieces of RAM of a guest with `memory_mib` MiB (taken as [`MIN_MEMORY_MIB`] if less), sorted and page-aligned: below
/// the video memory, from there to the device hole, and above 4 GiB. As on a PC the 128 KiB under the video memory are
/// lost, so the pieces add up to that much less.
pub fn memory_layout(memory_mib: u64) -> Vec<(Gpa, u64)> {
    let bytes = memory_mib.max(MIN_MEMORY_MIB).saturating_mul(MIB);
    let low_end = bytes.min(DEVICE_HOLE.0);
    let mut pieces = alloc::vec![(Gpa(0), VGA.0), (VGA_END, low_end - VGA_END.0)];
    if bytes > low_end {
        // Below 2^64 even for absurd amounts, so that the last byte has an address.
        let high = (bytes - low_end).min((1 << 52) - ABOVE_4G.0);
        pieces.push((ABOVE_4G, high));
    }
    pieces
}

/// What a range is, by its E820 number (ACPI 6.5, table 15.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RangeKind {
    /// Free RAM.
    Ram = 1,
    /// Not for the guest to use.
    Reserved = 2,
    /// ACPI tables: RAM for the guest once it has read them.
    AcpiTables = 3,
    /// What ACPI's firmware and the operating system share.
    AcpiShared = 4,
}

/// One line of the E820 map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub base: Gpa,
    /// Length in bytes.
    pub bytes: u64,
    /// What it is.
    pub kind: RangeKind,
}

/// The E820 map of `memory`: sorted, without overlaps. The firmware's areas in the first MiB are reserved.
pub fn e820(memory: &GuestMemory) -> Vec<Range> {
    let range = |base: Gpa, end: Gpa, kind| Range {
        base,
        bytes: end.0 - base.0,
        kind,
    };
    let mut map = alloc::vec![
        range(Gpa(0), EBDA, RangeKind::Ram),
        range(EBDA, VGA, RangeKind::Reserved),
        range(FIRMWARE, HIGH_MEMORY, RangeKind::Reserved),
    ];
    for region in memory.regions() {
        let end = Gpa(region.gpa.0 + region.bytes);
        let base = region.gpa.max(HIGH_MEMORY);
        if base >= end {
            continue;
        }
        match map.last_mut() {
            // Regions that adjoin only in the hypervisor's bookkeeping are one range to the guest.
            Some(last) if last.kind == RangeKind::Ram && last.base.0 + last.bytes == base.0 => {
                last.bytes += end.0 - base.0;
            }
            _ => map.push(range(base, end, RangeKind::Ram)),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_and_large_memories_leave_the_holes() {
        assert_eq!(
            memory_layout(128),
            [(Gpa(0), 0xa_0000), (Gpa(0xc_0000), (128 << 20) - 0xc_0000)]
        );
        let pieces = memory_layout(4096);
        assert_eq!(pieces[1], (Gpa(0xc_0000), 0xc000_0000 - 0xc_0000));
        assert_eq!(pieces[2], (Gpa(0x1_0000_0000), 1 << 30));
    }

    #[test]
    fn the_map_reserves_the_firmwares_areas_and_joins_regions() {
        let memory = GuestMemory::anonymous(&[
            (Gpa(0), 0xa_0000),
            (Gpa(0xc_0000), 0x14_0000),
            (Gpa(0x20_0000), 0x10_0000),
        ]);
        let map: Vec<_> = e820(&memory)
            .iter()
            .map(|range| (range.base.0, range.bytes, range.kind))
            .collect();
        assert_eq!(
            map,
            [
                (0, 0x9_fc00, RangeKind::Ram),
                (0x9_fc00, 0x400, RangeKind::Reserved),
                (0xe_0000, 0x2_0000, RangeKind::Reserved),
                (0x10_0000, 0x20_0000, RangeKind::Ram),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_amount_gives_sorted_whole_pages(memory_mib: u64) {
            let mut free = 0;
            for (base, bytes) in memory_layout(memory_mib) {
                prop_assert!(base.0 >= free && bytes > 0);
                prop_assert_eq!((base.0 | bytes) % 4096, 0);
                free = base.0.checked_add(bytes).unwrap();
            }
        }
    }
}
