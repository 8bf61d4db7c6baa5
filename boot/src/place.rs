//! Where the kernel goes.

use crate::{LARGE_PAGE_BYTES, MemoryKind, MemoryMap, PhysRange};

/// Everything that the hand-over needs, in one piece of memory: the kernel, then page tables and the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The kernel image; 2 MiB-aligned.
    pub kernel: PhysRange,
    /// Tables and record, page-aligned, right behind.
    pub boot: PhysRange,
}

/// First address that the hand-over must not reach: the tables map only what is below.
const LIMIT: u64 = 1 << 32;
/// The first MiB is the firmware's, and later holds the code that starts further CPUs.
const LOW_MEMORY: PhysRange = PhysRange {
    base: 0,
    bytes: 1 << 20,
};
const PAGE_BYTES: u64 = 4096;

/// Finds the lowest place for `kernel_bytes` and `boot_bytes` in usable memory from 1 MiB to 4 GiB that touches none of
/// `busy`; the lowest, because what stays is then one large piece. `None` if there is no such place.
pub fn place(
    map: &MemoryMap,
    kernel_bytes: u64,
    boot_bytes: u64,
    busy: &[PhysRange],
) -> Option<Placement> {
    let kernel_bytes = kernel_bytes.checked_next_multiple_of(PAGE_BYTES)?;
    let boot_bytes = boot_bytes.checked_next_multiple_of(PAGE_BYTES)?;
    let bytes = kernel_bytes.checked_add(boot_bytes)?;
    let usable = map
        .regions()
        .iter()
        .filter(|region| region.kind == MemoryKind::Usable);
    let base = usable
        .into_iter()
        .find_map(|region| lowest(region.base, region.end().min(LIMIT), bytes, busy))?;
    Some(Placement {
        kernel: PhysRange {
            base,
            bytes: kernel_bytes,
        },
        boot: PhysRange {
            base: base + kernel_bytes,
            bytes: boot_bytes,
        },
    })
}

/// The lowest 2 MiB-aligned place for `bytes` in `base..end` beside `busy`.
fn lowest(base: u64, end: u64, bytes: u64, busy: &[PhysRange]) -> Option<u64> {
    let mut base = base;
    loop {
        base = base.checked_next_multiple_of(LARGE_PAGE_BYTES)?;
        if base.checked_add(bytes)? > end {
            return None;
        }
        let candidate = PhysRange { base, bytes };
        let blocker = busy
            .iter()
            .chain([&LOW_MEMORY])
            .find(|range| range.overlaps(&candidate));
        match blocker {
            Some(range) => base = range.end(),
            None => return Some(base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn memory(regions: &[(u64, u64)]) -> MemoryMap {
        let mut map = MemoryMap::EMPTY;
        for &(base, bytes) in regions {
            map.insert(base, bytes, MemoryKind::Usable);
        }
        map
    }

    fn range(base: u64, bytes: u64) -> PhysRange {
        PhysRange { base, bytes }
    }

    #[test]
    fn it_goes_behind_the_image_it_comes_from() {
        let map = memory(&[(0, 640 * 1024), (MIB, 127 * MIB)]);
        let place = place(&map, 3 * MIB + 1, 5000, &[range(MIB, MIB + 1)]).unwrap();
        assert_eq!(place.kernel, range(4 * MIB, 3 * MIB + 4096));
        assert_eq!(place.boot, range(7 * MIB + 4096, 8192));
    }

    #[test]
    fn memory_above_4_gib_does_not_count() {
        assert_eq!(
            place(&memory(&[(4096 * MIB, 1024 * MIB)]), MIB, 4096, &[]),
            None
        );
        assert_eq!(
            place(&memory(&[(4094 * MIB, 1024 * MIB)]), 2 * MIB, 4096, &[]),
            None
        );
        assert!(place(&memory(&[(4094 * MIB, 1024 * MIB)]), MIB, MIB, &[]).is_some());
    }

    #[test]
    fn no_room_is_no_place() {
        assert_eq!(place(&memory(&[(0, 3 * MIB)]), 2 * MIB, 4096, &[]), None);
        assert_eq!(place(&memory(&[(0, 8 * MIB)]), u64::MAX, 4096, &[]), None);
        assert_eq!(
            place(&memory(&[(0, 8 * MIB)]), MIB, 4096, &[range(0, u64::MAX)]),
            None
        );
    }

    proptest! {
        #[test]
        fn a_place_is_usable_aligned_and_nobody_elses(
            regions in prop::collection::vec((0_u64..6 << 30, 0_u64..64 * MIB), 1..8),
            busy in prop::collection::vec((0_u64..6 << 30, 0_u64..64 * MIB), 0..6),
            kernel_bytes in 1..8 * MIB,
        ) {
            let map = memory(&regions);
            let busy: std::vec::Vec<_> = busy.iter().map(|&(base, bytes)| range(base, bytes)).collect();
            if let Some(found) = place(&map, kernel_bytes, 70_000, &busy) {
                let whole = range(found.kernel.base, found.kernel.bytes + found.boot.bytes);
                prop_assert_eq!(found.kernel.base % LARGE_PAGE_BYTES, 0);
                prop_assert_eq!(found.boot.base, found.kernel.end());
                prop_assert!(found.kernel.bytes >= kernel_bytes && found.boot.bytes >= 70_000);
                prop_assert!(whole.base >= MIB && whole.end() <= LIMIT);
                prop_assert!(map.regions().iter().any(|r| r.base <= whole.base && whole.end() <= r.end()));
                prop_assert!(busy.iter().all(|range| range.bytes == 0 || !range.overlaps(&whole)));
            }
        }
    }
}
