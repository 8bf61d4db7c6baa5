//! The memory map as it grows: regions come in any order, number and overlap, and the map is right after each one.

use crate::{MAX_MEMORY_REGIONS, MemoryKind, MemoryMap, MemoryRegion, PhysRange};

impl MemoryKind {
    /// The kind of an E820 entry (ACPI 6.5, table 15.4). What we do not know we do not touch.
    pub fn from_e820(kind: u32) -> Self {
        match kind {
            1 => Self::Usable,
            3 => Self::AcpiReclaimable,
            4 => Self::AcpiNvs,
            5 => Self::Unusable,
            7 => Self::Persistent,
            _ => Self::Reserved,
        }
    }

    /// How much care a kind wants; where regions overlap, the greater wins.
    fn caution(self) -> u8 {
        match self {
            Self::Usable => 0,
            Self::Persistent => 1,
            Self::AcpiReclaimable => 2,
            Self::AcpiNvs => 3,
            Self::Reserved => 4,
            Self::Unusable => 5,
        }
    }
}

impl PhysRange {
    /// First byte after the range. Saturates: the very last byte of the address space belongs to no range.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes)
    }

    /// Whether a byte lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.base < other.end() && other.base < self.end()
    }
}

impl MemoryRegion {
    /// Nothing, at address 0.
    pub const EMPTY: Self = Self {
        base: 0,
        bytes: 0,
        kind: MemoryKind::Reserved,
        reserved: 0,
    };

    /// First byte after the region. Regions of a [`MemoryMap`] never wrap.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes)
    }
}

impl MemoryMap {
    /// No memory at all.
    pub const EMPTY: Self = Self {
        len: 0,
        reserved: 0,
        regions: [MemoryRegion::EMPTY; MAX_MEMORY_REGIONS],
    };

    /// Adds a firmware region. Where it overlaps earlier ones, the kind that wants more care wins; neighbours of one kind
    /// become one region. When the map is full, room is made by joining two regions that are not usable, or, should
    /// there be none, by forgetting the smallest usable one: memory is lost, but nothing is used that must not be.
    pub fn insert(&mut self, base: u64, bytes: u64, kind: MemoryKind) {
        let end = base.saturating_add(bytes);
        self.carve(base, end, kind);
        let mut cursor = base;
        while cursor < end {
            if self.len() == MAX_MEMORY_REGIONS {
                self.make_room();
            }
            let index = self.first_ending_after(cursor);
            let next = self
                .regions()
                .get(index)
                .map_or(MemoryRegion::EMPTY, |region| *region);
            if next.bytes > 0 && next.base <= cursor {
                cursor = next.end();
                continue;
            }
            let gap_end = if next.bytes > 0 {
                end.min(next.base)
            } else {
                end
            };
            self.add(index, cursor, gap_end, kind);
            cursor = gap_end;
        }
    }

    /// Takes from `base..end` what belongs to kinds that want less care than `kind`.
    fn carve(&mut self, base: u64, end: u64, kind: MemoryKind) {
        let mut cursor = base;
        while cursor < end {
            if self.len() == MAX_MEMORY_REGIONS {
                self.make_room();
            }
            let index = self.first_ending_after(cursor);
            let Some(&old) = self.regions().get(index) else {
                return;
            };
            if old.base >= end {
                return;
            }
            cursor = old.end();
            if old.kind.caution() < kind.caution() {
                self.remove(index);
                self.add(index, end.max(old.base), old.end(), old.kind);
                self.add(index, old.base, base.min(old.end()), old.kind);
            }
        }
    }

    fn len(&self) -> usize {
        (self.len as usize).min(MAX_MEMORY_REGIONS)
    }

    /// Index of the first region that ends after `address`. Firmware sorts its maps, mostly: look from the end.
    fn first_ending_after(&self, address: u64) -> usize {
        let regions = self.regions();
        let before = regions.iter().rposition(|region| region.end() <= address);
        before.map_or(0, |index| index + 1)
    }

    /// Puts an area that no region covers before the region at `index`, or joins it with its neighbours. There is room.
    fn add(&mut self, index: usize, base: u64, end: u64, kind: MemoryKind) {
        if base >= end {
            return;
        }
        let len = self.len();
        let joins_next =
            index < len && self.regions[index].kind == kind && self.regions[index].base == end;
        let joins_last = index > 0
            && self.regions[index - 1].kind == kind
            && self.regions[index - 1].end() == base;
        if joins_last {
            let end = if joins_next {
                self.remove(index).end()
            } else {
                end
            };
            let last = &mut self.regions[index - 1];
            last.bytes = end - last.base;
        } else if joins_next {
            let next = &mut self.regions[index];
            next.bytes = next.end() - base;
            next.base = base;
        } else if len < MAX_MEMORY_REGIONS {
            self.regions.copy_within(index..len, index + 1);
            self.regions[index] = MemoryRegion {
                base,
                bytes: end - base,
                kind,
                reserved: 0,
            };
            self.len = len as u32 + 1;
        }
    }

    fn remove(&mut self, index: usize) -> MemoryRegion {
        let (old, len) = (self.regions[index], self.len());
        self.regions.copy_within(index + 1..len, index);
        self.len -= 1;
        old
    }

    /// Makes the map one region shorter.
    fn make_room(&mut self) {
        let usable = |region: &MemoryRegion| region.kind == MemoryKind::Usable;
        let regions = self.regions();
        let nearest = (1..regions.len())
            .filter(|&next| !usable(&regions[next - 1]) && !usable(&regions[next]))
            .min_by_key(|&next| regions[next].base - regions[next - 1].end());
        let smallest = (0..regions.len())
            .filter(|&index| usable(&regions[index]))
            .min_by_key(|&index| regions[index].bytes);
        if let Some(next) = nearest {
            let joined = self.remove(next);
            let last = &mut self.regions[next - 1];
            last.bytes = joined.end() - last.base;
            if last.kind != joined.kind {
                last.kind = MemoryKind::Reserved;
            }
        } else if let Some(index) = smallest {
            self.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const KINDS: [MemoryKind; 6] = [
        MemoryKind::Usable,
        MemoryKind::Persistent,
        MemoryKind::AcpiReclaimable,
        MemoryKind::AcpiNvs,
        MemoryKind::Reserved,
        MemoryKind::Unusable,
    ];

    fn build(regions: &[(u64, u64, MemoryKind)]) -> MemoryMap {
        let mut map = MemoryMap::EMPTY;
        for &(base, bytes, kind) in regions {
            map.insert(base, bytes, kind);
        }
        map
    }

    fn listed(map: &MemoryMap) -> Vec<(u64, u64, MemoryKind)> {
        map.regions()
            .iter()
            .map(|region| (region.base, region.bytes, region.kind))
            .collect()
    }

    #[test]
    fn neighbours_join_whatever_their_order() {
        use MemoryKind::Usable;
        let map = build(&[
            (0x3000, 0x1000, Usable),
            (0x1000, 0x1000, Usable),
            (0x2000, 0x1000, Usable),
        ]);
        assert_eq!(listed(&map), [(0x1000, 0x3000, Usable)]);
    }

    #[test]
    fn a_reserved_hole_splits_usable_memory() {
        use MemoryKind::{Reserved, Usable};
        let expected = [
            (0, 0x1000, Usable),
            (0x1000, 0x1000, Reserved),
            (0x2000, 0x1000, Usable),
        ];
        assert_eq!(
            listed(&build(&[(0, 0x3000, Usable), (0x1000, 0x1000, Reserved)])),
            expected
        );
        assert_eq!(
            listed(&build(&[(0x1000, 0x1000, Reserved), (0, 0x3000, Usable)])),
            expected
        );
    }

    #[test]
    fn a_region_that_wraps_ends_with_the_address_space() {
        let map = build(&[(u64::MAX - 0xfff, u64::MAX, MemoryKind::Reserved)]);
        assert_eq!(
            listed(&map),
            [(u64::MAX - 0xfff, 0xfff, MemoryKind::Reserved)]
        );
    }

    #[test]
    fn a_full_map_joins_reserved_regions_before_it_loses_memory() {
        let mut map = MemoryMap::EMPTY;
        for index in 0..2000_u64 {
            map.insert(index * 0x3000, 0x1000, MemoryKind::Reserved);
        }
        map.insert(2000 * 0x3000, 0x10_0000, MemoryKind::Usable);
        assert_eq!(map.regions().last().unwrap().kind, MemoryKind::Usable);
        assert!((0..2000).all(|index| kind_at(&map, index * 0x3000) == Some(MemoryKind::Reserved)));
    }

    #[test]
    fn a_full_map_of_usable_regions_forgets_the_smallest() {
        let mut map = MemoryMap::EMPTY;
        for index in 0..600_u64 {
            map.insert(index * 0x10_0000, 0x1000 + index, MemoryKind::Usable);
        }
        assert_eq!(map.regions().len(), MAX_MEMORY_REGIONS);
        assert_eq!(kind_at(&map, 0), None);
        assert_eq!(kind_at(&map, 599 * 0x10_0000), Some(MemoryKind::Usable));
    }

    fn kind_at(map: &MemoryMap, address: u64) -> Option<MemoryKind> {
        map.regions()
            .iter()
            .find(|region| (region.base..region.end()).contains(&address))
            .map(|region| region.kind)
    }

    fn assert_well_formed(map: &MemoryMap) {
        assert!(map.regions().iter().all(|region| region.bytes > 0));
        for pair in map.regions().windows(2) {
            assert!(pair[0].end() <= pair[1].base);
            assert!(pair[0].end() < pair[1].base || pair[0].kind != pair[1].kind);
        }
    }

    proptest! {
        #[test]
        fn every_byte_has_its_most_cautious_kind(
            regions in prop::collection::vec((0_u64..64, 0_u64..16, 0_usize..6), 0..40),
        ) {
            let regions: Vec<_> = regions.into_iter().map(|(base, bytes, kind)| (base, bytes, KINDS[kind])).collect();
            let map = build(&regions);
            assert_well_formed(&map);
            for address in 0..80 {
                let expected = regions
                    .iter()
                    .filter(|(base, bytes, _)| (*base..base + bytes).contains(&address))
                    .map(|(_, _, kind)| *kind)
                    .max_by_key(|kind| kind.caution());
                prop_assert_eq!(kind_at(&map, address), expected);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn an_overfull_map_never_offers_what_is_not_usable(
            regions in prop::collection::vec((0_u64..4096, 1_u64..3, 0_usize..6), 1500),
        ) {
            let regions: Vec<_> = regions.into_iter().map(|(base, bytes, kind)| (base, bytes, KINDS[kind])).collect();
            let map = build(&regions);
            for (base, bytes, kind) in regions {
                for address in base..base + bytes {
                    prop_assert!(kind == MemoryKind::Usable || kind_at(&map, address) != Some(MemoryKind::Usable));
                }
            }
        }
    }
}
