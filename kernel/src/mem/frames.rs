//! The frame allocator: all usable RAM above the first MiB, and a few frames below it for starting CPUs.
//!
//! Callable from any CPU, not from interrupt handlers. A range that was allocated belongs to the caller alone until
//! [`free`] gives it back. Contents are not cleared unless the name says so.

use super::free_ranges::{FreeRanges, Placement};
use super::{PAGE_BYTES, inward, outward, phys_to_virt};
use boot::{MemoryKind, MemoryRegion, PhysRange};
use core::sync::atomic::{AtomicU64, Ordering};
use guest_mem::Hpa;
use spin::Mutex;

/// What real-mode code can reach; kept apart, because best fit would spend it first.
const LOW_LIMIT: u64 = 1 << 20;
/// What the boot code's identity map covers; a hosted test's memory lies anywhere.
const EARLY_LIMIT: u64 = if cfg!(target_os = "none") {
    1 << 32
} else {
    u64::MAX
};

static FREE: Mutex<FreeRanges> = Mutex::new(FreeRanges::new());
static LOW: Mutex<FreeRanges> = Mutex::new(FreeRanges::new());
static USABLE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Fills the allocator with the map's usable regions, less `kept` ranges and page 0.
pub(super) fn init(regions: &[MemoryRegion], kept: &[PhysRange]) {
    let mut all = FreeRanges::new();
    for region in regions
        .iter()
        .filter(|region| region.kind == MemoryKind::Usable)
    {
        all.insert(inward(PhysRange {
            base: region.base,
            bytes: region.bytes,
        }));
    }
    USABLE_BYTES.store(all.bytes(), Ordering::Relaxed);
    for range in kept.iter().filter(|range| range.bytes != 0) {
        all.remove(outward(*range));
    }
    let (mut low, mut high) = (LOW.lock(), FREE.lock());
    for range in all.ranges() {
        low.insert(*range);
        high.insert(*range);
    }
    low.remove(PhysRange {
        base: LOW_LIMIT,
        bytes: u64::MAX,
    });
    low.remove(PhysRange {
        base: 0,
        bytes: PAGE_BYTES,
    });
    high.remove(PhysRange {
        base: 0,
        bytes: LOW_LIMIT,
    });
}

/// One range of `bytes` (rounded up to whole pages), aligned to `align` (a power of two; at least a page is used).
/// `None` if no free range is large enough.
pub fn alloc_contiguous(bytes: u64, align: u64) -> Option<PhysRange> {
    alloc_below(bytes, align, u64::MAX)
}

/// As [`alloc_contiguous`], wholly below `limit`: for devices that cannot address more.
pub fn alloc_below(bytes: u64, align: u64, limit: u64) -> Option<PhysRange> {
    let bytes = bytes.checked_next_multiple_of(PAGE_BYTES)?;
    let align = align.max(PAGE_BYTES);
    FREE.lock().take(bytes, Placement { align, limit })
}

/// One 4 KiB page, not cleared.
pub fn alloc_page() -> Option<Hpa> {
    alloc_contiguous(PAGE_BYTES, PAGE_BYTES).map(|range| Hpa(range.base))
}

/// One 4 KiB page of zeroes: a VMCB, a page table, a bitmap.
pub fn alloc_zeroed_page() -> Option<Hpa> {
    alloc_zeroed(PAGE_BYTES).map(|range| Hpa(range.base))
}

/// Consecutive zeroed pages, page-aligned.
pub fn alloc_zeroed(bytes: u64) -> Option<PhysRange> {
    let range = alloc_contiguous(bytes, PAGE_BYTES)?;
    // SAFETY: the range was just taken from the allocator, so nobody else has it, and all RAM is mapped writable.
    unsafe { phys_to_virt(Hpa(range.base)).write_bytes(0, range.bytes as usize) };
    Some(range)
}

/// Gives back what one of the `alloc` functions returned, or a part of it.
pub fn free(range: PhysRange) {
    release(range);
}

/// Gives back one page.
pub fn free_page(page: Hpa) {
    free(PhysRange {
        base: page.0,
        bytes: PAGE_BYTES,
    });
}

/// Takes a range out of the allocator, whatever part of it is free: for memory that someone else turns out to own.
pub fn reserve(range: PhysRange) {
    FREE.lock().remove(outward(range));
}

/// Hands a range to the allocator: the bundle once it was read, or firmware tables. Only its whole pages above 1 MiB.
pub fn release(range: PhysRange) {
    let pages = inward(range);
    let end = pages.base + pages.bytes;
    let base = pages.base.max(LOW_LIMIT);
    FREE.lock().insert(PhysRange {
        base,
        bytes: end.saturating_sub(base),
    });
}

/// The largest range that [`alloc_contiguous`] could give now, base and length being multiples of `align`.
pub fn largest_free(align: u64) -> Option<PhysRange> {
    FREE.lock().largest(align)
}

/// Bytes free now.
pub fn free_bytes() -> u64 {
    FREE.lock().bytes()
}

/// Bytes of RAM that the firmware called usable.
pub fn usable_bytes() -> u64 {
    USABLE_BYTES.load(Ordering::Relaxed)
}

/// Consecutive pages below 1 MiB, for code that starts in real mode; give back with [`free_low`].
pub fn alloc_low(bytes: u64) -> Option<PhysRange> {
    LOW.lock().take(
        bytes,
        Placement {
            align: PAGE_BYTES,
            limit: LOW_LIMIT,
        },
    )
}

/// Gives back what [`alloc_low`] returned.
pub fn free_low(range: PhysRange) {
    LOW.lock().insert(range);
}

/// A page for the final tables while only the boot code's identity map of the first 4 GiB exists.
pub(super) fn alloc_early_page() -> Option<Hpa> {
    alloc_below(PAGE_BYTES, PAGE_BYTES, EARLY_LIMIT).map(|range| Hpa(range.base))
}
