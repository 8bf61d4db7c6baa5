//! Which pages were written: one bit per 4 KiB page, set from any CPU.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// A dirty bitmap over the address space from 0 to `end`.
pub struct DirtyLog {
    words: Box<[AtomicU64]>,
}

impl DirtyLog {
    /// A clean log for `end_bytes` bytes of guest-physical space; `None` if there is no memory for it (32 KiB for each GiB).
    pub fn new(end_bytes: u64) -> Option<Self> {
        let pages = end_bytes.div_ceil(crate::PAGE_BYTES);
        let count = pages.div_ceil(64) as usize;
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize_with(count, || AtomicU64::new(0));
        Some(Self {
            words: words.into_boxed_slice(),
        })
    }

    /// Marks the page with number `page` (GPA / 4096), after it was written. Pages past the end are ignored.
    ///
    /// The bit is set even if it is set already: an earlier look could pass the write, and find a mark that is taken before the
    /// write can be seen.
    #[inline]
    pub fn mark(&self, page: u64) {
        if let Some(word) = self.words.get((page / 64) as usize) {
            word.fetch_or(1 << (page % 64), Ordering::AcqRel);
        }
    }

    /// Takes and clears 64 pages' bits, those from page `64 * index` on.
    pub fn take_word(&self, index: usize) -> Option<u64> {
        Some(self.words.get(index)?.swap(0, Ordering::AcqRel))
    }

    /// Takes and clears all bits: calls `page` with the number of each page that was marked, in ascending order.
    pub fn take(&self, page: &mut dyn FnMut(u64)) {
        for (base, word) in (0..).step_by(64).zip(&self.words) {
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                page(base + u64::from(bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn each_marked_page_is_told_once(pages in prop::collection::vec(0_u64..300, 0..50)) {
            let log = DirtyLog::new(256 * crate::PAGE_BYTES).unwrap();
            pages.iter().for_each(|page| log.mark(*page));
            let mut told = Vec::new();
            log.take(&mut |page| told.push(page));
            let inside: BTreeSet<_> = pages.into_iter().filter(|page| *page < 256).collect();
            prop_assert_eq!(told, Vec::from_iter(inside));
            log.take(&mut |page| panic!("{page} again"));
        }
    }
}
