//! A set of physical ranges in a fixed amount of memory.
//!
//! Ranges, not a bitmap: a host has a few dozen of them whatever its size, a guest's gigabytes are one entry, and
//! alignment costs nothing to find.

use boot::PhysRange;
use heapless::Vec;

/// How many separate ranges can be kept. A firmware map has at most 512.
pub const MAX_RANGES: usize = 1024;

/// Free memory: sorted by base, disjoint, and never adjacent (neighbours are merged).
#[derive(Debug, Default)]
pub struct FreeRanges {
    ranges: Vec<PhysRange, MAX_RANGES>,
    lost_bytes: u64,
}

/// Where a taken range must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Alignment of the base; a power of two.
    pub align: u64,
    /// Address that the range must not reach past.
    pub limit: u64,
}

impl FreeRanges {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            ranges: Vec::new(),
            lost_bytes: 0,
        }
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[PhysRange] {
        &self.ranges
    }

    /// Sum of all ranges.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.bytes).sum()
    }

    /// Memory that was given back but could not be kept, because [`MAX_RANGES`] separate ranges were in use.
    pub fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// Adds a range; parts that are already in the set stay. A range that ends past 2^64 is cut there.
    pub fn insert(&mut self, range: PhysRange) {
        let (mut base, mut end) = (range.base, range.base.saturating_add(range.bytes));
        if base == end {
            return;
        }
        let first = self.ranges.partition_point(|old| end_of(old) < base);
        while let Some(old) = self.ranges.get(first).filter(|old| old.base <= end) {
            (base, end) = (base.min(old.base), end.max(end_of(old)));
            self.ranges.remove(first);
        }
        self.put(first, base, end);
    }

    /// Takes a range out; parts that are not in the set are no matter.
    pub fn remove(&mut self, range: PhysRange) {
        let (base, end) = (range.base, range.base.saturating_add(range.bytes));
        let first = self.ranges.partition_point(|old| end_of(old) <= base);
        let Some(head) = self
            .ranges
            .get(first)
            .copied()
            .filter(|old| old.base < end && base < end)
        else {
            return;
        };
        let mut last = head;
        while let Some(old) = self.ranges.get(first).copied().filter(|old| old.base < end) {
            self.ranges.remove(first);
            last = old;
        }
        if end < end_of(&last) {
            self.put(first, end, end_of(&last));
        }
        if head.base < base {
            self.put(first, head.base, base);
        }
    }

    /// Takes `bytes` from the smallest range that can hold them, so that the large ranges last; of that range, the
    /// lowest place that fits.
    pub fn take(&mut self, bytes: u64, placement: Placement) -> Option<PhysRange> {
        let taken = self
            .ranges
            .iter()
            .filter_map(|range| Some((range.bytes, fit(range, bytes, placement)?)))
            .min_by_key(|&(room, _)| room)
            .map(|(_, taken)| taken)?;
        self.remove(taken);
        Some(taken)
    }

    /// The largest range that could be taken with its base and length both multiples of `align`.
    pub fn largest(&self, align: u64) -> Option<PhysRange> {
        self.ranges
            .iter()
            .filter_map(|range| {
                let base = range.base.checked_next_multiple_of(align)?;
                let bytes = end_of(range).checked_sub(base)? / align * align;
                (bytes != 0).then_some(PhysRange { base, bytes })
            })
            .max_by_key(|range| range.bytes)
    }

    fn put(&mut self, at: usize, base: u64, end: u64) {
        let range = PhysRange {
            base,
            bytes: end - base,
        };
        if self.ranges.insert(at, range).is_err() {
            self.lost_bytes += range.bytes;
        }
    }
}

fn end_of(range: &PhysRange) -> u64 {
    range.base + range.bytes
}

fn fit(range: &PhysRange, bytes: u64, placement: Placement) -> Option<PhysRange> {
    let base = range.base.checked_next_multiple_of(placement.align)?;
    let end = base.checked_add(bytes)?;
    (bytes != 0 && end <= end_of(range).min(placement.limit)).then_some(PhysRange { base, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANYWHERE: Placement = Placement {
        align: 1,
        limit: u64::MAX,
    };

    fn set(ranges: &[(u64, u64)]) -> FreeRanges {
        let mut set = FreeRanges::new();
        for &(base, bytes) in ranges {
            set.insert(PhysRange { base, bytes });
        }
        set
    }

    #[test]
    fn the_smallest_range_that_fits_is_taken() {
        let mut free = set(&[(0x1000, 0x8000), (0x10000, 0x2000)]);
        assert_eq!(
            free.take(0x1000, ANYWHERE),
            Some(PhysRange {
                base: 0x10000,
                bytes: 0x1000
            })
        );
        assert_eq!(
            free.take(0x4000, ANYWHERE),
            Some(PhysRange {
                base: 0x1000,
                bytes: 0x4000
            })
        );
        assert_eq!(free.take(0x5000, ANYWHERE), None);
    }

    #[test]
    fn alignment_and_limit_are_kept() {
        let mut free = set(&[(0x1000, 0x10_0000_0000)]);
        let aligned = Placement {
            align: 1 << 30,
            limit: u64::MAX,
        };
        assert_eq!(
            free.take(1 << 30, aligned),
            Some(PhysRange {
                base: 1 << 30,
                bytes: 1 << 30
            })
        );
        assert_eq!(
            free.largest(1 << 30),
            Some(PhysRange {
                base: 2 << 30,
                bytes: 62 << 30
            })
        );
        assert_eq!(
            free.take(
                0x1000,
                Placement {
                    align: 0x1000,
                    limit: 0x1800
                }
            ),
            None
        );
    }

    #[test]
    fn a_hole_across_two_ranges_cuts_both() {
        let mut free = set(&[(0x1000, 0x3000), (0x8000, 0x3000)]);
        free.remove(PhysRange {
            base: 0x3000,
            bytes: 0x6000,
        });
        assert_eq!(
            free.ranges(),
            [
                PhysRange {
                    base: 0x1000,
                    bytes: 0x2000
                },
                PhysRange {
                    base: 0x9000,
                    bytes: 0x2000
                }
            ]
        );
    }

    #[test]
    fn ranges_at_the_top_of_the_address_space_do_not_wrap() {
        let mut free = set(&[(u64::MAX - 0xfff, u64::MAX)]);
        assert_eq!(free.bytes(), 0xfff);
        assert_eq!(
            free.take(
                0x1000,
                Placement {
                    align: 0x1000,
                    limit: u64::MAX
                }
            ),
            None
        );
        free.remove(PhysRange {
            base: 0,
            bytes: u64::MAX,
        });
        assert_eq!(free.bytes(), 0);
    }

    #[test]
    fn what_does_not_fit_the_table_is_counted() {
        let mut free = FreeRanges::new();
        for slot in 0..MAX_RANGES as u64 + 3 {
            free.insert(PhysRange {
                base: slot * 2,
                bytes: 1,
            });
        }
        assert_eq!((free.bytes(), free.lost_bytes()), (MAX_RANGES as u64, 3));
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_bytes(steps in prop::collection::vec((any::<bool>(), 0_u64..60, 0_u64..20), 0..40)) {
            let mut free = FreeRanges::new();
            let mut model = [false; 80];
            for (add, base, bytes) in steps {
                let range = PhysRange { base, bytes };
                if add { free.insert(range) } else { free.remove(range) }
                model[base as usize..(base + bytes) as usize].fill(add);
            }
            let mut shown = [false; 80];
            for range in free.ranges() {
                shown[range.base as usize..(range.base + range.bytes) as usize].fill(true);
            }
            prop_assert_eq!(model, shown);
            for pair in free.ranges().windows(2) {
                prop_assert!(end_of(&pair[0]) < pair[1].base);
            }
        }

        #[test]
        fn what_is_taken_was_free_and_fits(bytes in 1_u64..30, align in 0_u32..5, limit in 0_u64..100) {
            let mut free = set(&[(3, 20), (30, 9), (50, 40)]);
            let before = free.bytes();
            let placement = Placement { align: 1 << align, limit };
            if let Some(taken) = free.take(bytes, placement) {
                prop_assert_eq!(taken.bytes, bytes);
                prop_assert_eq!(taken.base % placement.align, 0);
                prop_assert!(end_of(&taken) <= limit);
                prop_assert_eq!(free.bytes(), before - bytes);
            }
        }
    }
}
