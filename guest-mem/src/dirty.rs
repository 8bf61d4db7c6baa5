//! Which pages the hypervisor wrote: one bit per 4 KiB page, set with relaxed atomics from any CPU.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

/// A dirty bitmap over the address space from 0 to `end`.
pub struct DirtyLog {
    words: Box<[AtomicU64]>,
}

impl DirtyLog {
    /// A clean log for `end_bytes` bytes of guest-physical space.
    pub fn new(end_bytes: u64) -> Self {
        let pages = end_bytes.div_ceil(crate::PAGE_BYTES);
        let words = pages.div_ceil(64) as usize;
        Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Marks the page with number `page` (GPA / 4096). Pages past the end are ignored.
    #[inline]
    pub fn mark(&self, page: u64) {
        if let Some(word) = self.words.get((page / 64) as usize) {
            let bit = 1 << (page % 64);
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    /// Takes and clears 64 pages' bits, those from page `64 * index` on.
    pub fn take_word(&self, index: usize) -> Option<u64> {
        Some(self.words.get(index)?.swap(0, Ordering::AcqRel))
    }
}
