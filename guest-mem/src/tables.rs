//! Pages that hold page tables of the guest which something shadows: written by the guest they fault, written by the hypervisor they
//! are told here.

use crate::DirtyLog;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Which pages are protected so, and which of them the hypervisor has written since somebody asked.
pub struct TableLog {
    protected: Box<[AtomicU64]>,
    written: DirtyLog,
    any: AtomicBool,
}

impl TableLog {
    /// No page yet, of `end_bytes` bytes of guest-physical space; `None` if there is no memory for it (64 KiB for each GiB).
    pub fn new(end_bytes: u64) -> Option<Self> {
        let count = end_bytes.div_ceil(crate::PAGE_BYTES).div_ceil(64) as usize;
        let mut protected = Vec::new();
        protected.try_reserve_exact(count).ok()?;
        protected.resize_with(count, || AtomicU64::new(0));
        Some(Self {
            protected: protected.into_boxed_slice(),
            written: DirtyLog::new(end_bytes)?,
            any: AtomicBool::new(false),
        })
    }

    /// True if the page is protected.
    #[inline]
    pub fn is_protected(&self, page: u64) -> bool {
        let word = self.protected.get((page / 64) as usize);
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (page % 64) & 1 != 0)
    }

    /// Protects it: what is written from now on is told, and what was written before can be read now. False if it lies outside.
    pub fn protect(&self, page: u64) -> bool {
        let word = self.protected.get((page / 64) as usize);
        word.map(|word| word.fetch_or(1 << (page % 64), Ordering::SeqCst))
            .is_some()
    }

    /// Ends that.
    pub fn release(&self, page: u64) {
        if let Some(word) = self.protected.get((page / 64) as usize) {
            word.fetch_and(!(1 << (page % 64)), Ordering::SeqCst);
        }
    }

    /// The hypervisor has written it.
    pub(crate) fn mark(&self, page: u64) {
        if self.is_protected(page) {
            self.written.mark(page);
            self.any.store(true, Ordering::SeqCst);
        }
    }

    /// Takes the protected pages that were written.
    #[inline]
    pub fn take_written(&self, page: &mut dyn FnMut(u64)) {
        if self.any.load(Ordering::Relaxed) && self.any.swap(false, Ordering::SeqCst) {
            self.written.take(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_to_protected_pages_are_told_once() {
        let log = TableLog::new(128 * crate::PAGE_BYTES).unwrap();
        let told = || {
            let mut pages = Vec::new();
            log.take_written(&mut |page| pages.push(page));
            pages
        };
        log.mark(70);
        assert_eq!(told(), []);
        assert!(log.protect(70) && log.is_protected(70) && !log.is_protected(6));
        log.mark(70);
        log.mark(6);
        assert_eq!(told(), [70]);
        assert_eq!(told(), []);
        log.release(70);
        log.mark(70);
        assert_eq!(told(), []);
        assert!(!log.protect(128));
    }
}
