//! What changed when, so that any number of viewers draw no more than they must.
//!
//! Video memory is looked at in granules. Each has the stamp of its last write; a write stores one number. A viewer's
//! question ends a stamp and starts the next, so that what is written while it draws shows up in its next question.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Bytes in a granule, as a shift.
const GRANULE_SHIFT: u32 = 8;

/// When granules and picture changed last.
pub(super) struct Changes {
    /// By granule.
    written: Vec<u64>,
    /// When something changed that every pixel depends on.
    picture: u64,
    /// The running stamp.
    now: u64,
}

impl Changes {
    pub(super) fn new(memory_bytes: u32) -> Self {
        Self {
            written: vec![0; (memory_bytes >> GRANULE_SHIFT) as usize],
            picture: 1,
            now: 1,
        }
    }

    /// Bytes were written.
    #[inline]
    pub(super) fn mark(&mut self, offset: u32, bytes: u32) {
        let Some(last) = bytes.checked_sub(1) else {
            return;
        };
        let granules = granules(offset..offset.saturating_add(last).saturating_add(1));
        let end = granules.end.min(self.written.len());
        if let Some(written) = self.written.get_mut(granules.start..end) {
            written.fill(self.now);
        }
    }

    /// Everything looks different.
    pub(super) fn mark_all(&mut self) {
        self.picture = self.now;
    }

    /// Ends the running stamp and returns it.
    pub(super) fn close(&mut self) -> u64 {
        let closed = self.now;
        self.now += 1;
        closed
    }

    /// True if everything changed after `since`.
    pub(super) fn all_since(&self, since: u64) -> bool {
        self.picture > since
    }

    /// True if one of the bytes was written after `since`.
    #[inline]
    pub(super) fn any_since(&self, bytes: Range<u32>, since: u64) -> bool {
        self.extent_since(bytes, since).is_some()
    }

    /// The part of `bytes` outside of which nothing was written after `since`; `None` if nothing was at all.
    pub(super) fn extent_since(&self, bytes: Range<u32>, since: u64) -> Option<Range<u32>> {
        let granules = granules(bytes.clone());
        let end = granules.end.min(self.written.len());
        let written = self.written.get(granules.start..end)?;
        let first = written.iter().position(|&stamp| stamp > since)?;
        let last = written.iter().rposition(|&stamp| stamp > since)?;
        let at = |granule: usize| ((granules.start + granule) << GRANULE_SHIFT) as u32;
        Some(bytes.start.max(at(first))..bytes.end.min(at(last + 1)))
    }
}

fn granules(bytes: Range<u32>) -> Range<usize> {
    let end = bytes.end.div_ceil(1 << GRANULE_SHIFT) as usize;
    (bytes.start >> GRANULE_SHIFT) as usize..end
}
