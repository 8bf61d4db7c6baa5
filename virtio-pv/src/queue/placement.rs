//! Where a ring lies in guest memory.

use super::RingFault;
use super::layout::{DESCRIPTOR_BYTES, available, used};
use guest_mem::Gpa;

/// The largest queue that we offer.
pub const MAX_SIZE: u16 = 256;

/// Bytes of a page in the legacy ring layout, and its ring alignment (2.7.2, 4.1.5.1.3.1).
const LEGACY_PAGE_BYTES: u64 = 4096;

/// How many entries a ring has: a power of two from 1 to [`MAX_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize(u16);

impl RingSize {
    /// Checks `entries`.
    pub const fn new(entries: u16) -> Option<Self> {
        if entries.is_power_of_two() && entries <= MAX_SIZE {
            Some(Self(entries))
        } else {
            None
        }
    }

    /// The number.
    #[inline]
    pub const fn entries(self) -> u16 {
        self.0
    }

    /// The slot of a free-running index.
    #[inline]
    pub const fn slot(self, index: u16) -> u64 {
        (index & (self.0 - 1)) as u64
    }
}

/// Size and addresses of a ring: aligned, and clear of the end of the address space. Whether they are RAM shows at each access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub(super) size: RingSize,
    pub(super) descriptors: Gpa,
    pub(super) available: Gpa,
    pub(super) used: Gpa,
}

impl Placement {
    /// Checks three separate areas (2.7: alignments 16, 2 and 4).
    pub fn new(size: u16, descriptors: Gpa, available: Gpa, used: Gpa) -> Result<Self, RingFault> {
        let bad = RingFault::Placement { size };
        let size = RingSize::new(size).ok_or(bad)?;
        let entries = size.entries();
        let areas = [
            (descriptors, 16, DESCRIPTOR_BYTES * u64::from(entries)),
            (available, 2, available::bytes(entries)),
            (used, 4, used::bytes(entries)),
        ];
        for (base, alignment, bytes) in areas {
            if base.0 % alignment != 0 || base.checked_add(bytes).is_none() {
                return Err(bad);
            }
        }
        Ok(Self {
            size,
            descriptors,
            available,
            used,
        })
    }

    /// The legacy layout (2.7.2): descriptors at page `frame`, the available ring after them, the used ring on the next page.
    pub fn legacy(size: RingSize, frame: u32) -> Self {
        let entries = size.entries();
        let descriptors = u64::from(frame) * LEGACY_PAGE_BYTES;
        let available = descriptors + DESCRIPTOR_BYTES * u64::from(entries);
        let used = (available + available::bytes(entries)).next_multiple_of(LEGACY_PAGE_BYTES);
        Self {
            size,
            descriptors: Gpa(descriptors),
            available: Gpa(available),
            used: Gpa(used),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_up_to_the_maximum() {
        let sizes = (0..=u16::MAX).filter_map(RingSize::new);
        assert!(sizes.map(RingSize::entries).eq((0..9).map(|bit| 1 << bit)));
        assert_eq!(RingSize::new(8).unwrap().slot(0xfffd), 5);
    }

    #[test]
    fn the_legacy_layout_is_one_piece_of_pages() {
        let place = Placement::legacy(RingSize::new(256).unwrap(), 0x10);
        assert_eq!(place.descriptors, Gpa(0x1_0000));
        assert_eq!(place.available, Gpa(0x1_1000));
        assert_eq!(place.used, Gpa(0x1_2000));
        let place = Placement::legacy(RingSize::new(8).unwrap(), u32::MAX);
        assert_eq!(place.used.0 - place.descriptors.0, 0x1000);
    }

    #[test]
    fn misaligned_and_wrapping_areas_are_refused() {
        let place = |descriptors, available, used| {
            Placement::new(8, Gpa(descriptors), Gpa(available), Gpa(used)).is_ok()
        };
        assert!(place(16, 2, 4));
        assert!(!place(8, 2, 4) && !place(16, 1, 4) && !place(16, 2, 2));
        let top = !0xf;
        assert!(!place(top, 2, 4) && !place(16, top, 4) && !place(16, 2, top));
    }
}
