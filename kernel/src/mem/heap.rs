//! The kernel heap: small, grown from frames as it is used, never shrunk.

use super::{PAGE_BYTES, frames, phys_to_virt};
use core::alloc::Layout;
use guest_mem::Hpa;
use talc::base::Talc;
use talc::base::binning::Binning;
use talc::source::Source;

/// Least growth. Every growth is one more separate piece for the allocator, so not a page at a time.
const GROWTH_BYTES: u64 = 256 << 10;

/// Grows the heap by ranges of frames.
#[derive(Debug)]
pub struct Frames;

// SAFETY: `acquire` only touches the given allocator and the frame allocator, which does not allocate.
unsafe impl Source for Frames {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // Room for the allocator's own tags beside the allocation; one page is far more than they need.
        let wanted = (layout.size() as u64)
            .checked_add(layout.align() as u64 + PAGE_BYTES)
            .ok_or(())?;
        let range = frames::alloc_contiguous(wanted.max(GROWTH_BYTES), PAGE_BYTES).ok_or(())?;
        // SAFETY: the frames were just taken, are mapped writable, and are never given back.
        unsafe { talc.claim(phys_to_virt(Hpa(range.base)), range.bytes as usize) }
            .map(drop)
            .ok_or(())
    }
}

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: talc::TalcLock<spin::Mutex<()>, Frames> = talc::TalcLock::new(Frames);
