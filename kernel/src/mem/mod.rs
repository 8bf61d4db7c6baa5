//! Host memory: who owns which frame, and where it is mapped.
//!
//! | virtual | what |
//! | --- | --- |
//! | `FFFF_8000_0000_0000` + hpa | every physical address that is mapped at all: RAM writable and never executable, devices uncached, firmware tables read-only |
//! | `FFFF_FF80_0000_0000` … | stacks, each above an unmapped guard page |
//! | `FFFF_FFFF_8000_0000` … | the kernel image: text, constants and data each with no more rights than they need |
//!
//! Nothing is mapped below; a null or small pointer faults.

pub mod frames;
pub mod free_ranges;
pub mod heap;
pub mod image;
pub mod layout;
pub mod map;
pub mod mtrr;
pub mod paging;
pub mod stack;

pub use layout::{phys_to_virt, virt_to_phys};
pub use map::{map_firmware, map_framebuffer, map_mmio};

use boot::{BootInfo, PhysRange};

/// Takes over memory: the frame allocator first, then the final page tables, which drop the boot code's identity map,
/// then the heap (which needs no more than frames). Afterwards the boot code's own range is free.
///
/// Called once, on the boot CPU, before any allocation.
pub fn init(boot: &BootInfo) {
    let kept = [boot.kernel, boot.boot, boot.bundle];
    frames::init(boot.memory.regions(), &kept);
    paging::init(boot);
    frames::release(boot.boot);
}

/// Page size in bytes.
pub const PAGE_BYTES: u64 = 4096;
/// Size of a large page in bytes.
pub const LARGE_PAGE_BYTES: u64 = 2 << 20;
/// Size of a huge page in bytes.
pub const HUGE_PAGE_BYTES: u64 = 1 << 30;

/// The whole pages that `range` touches.
pub(crate) fn outward(range: PhysRange) -> PhysRange {
    let base = range.base & !(PAGE_BYTES - 1);
    let end = range.base.saturating_add(range.bytes);
    let end = end
        .checked_next_multiple_of(PAGE_BYTES)
        .unwrap_or(!(PAGE_BYTES - 1));
    PhysRange {
        base,
        bytes: end - base,
    }
}

/// The whole pages inside `range`.
pub(crate) fn inward(range: PhysRange) -> PhysRange {
    let end = range.base.saturating_add(range.bytes) & !(PAGE_BYTES - 1);
    let base = range
        .base
        .checked_next_multiple_of(PAGE_BYTES)
        .unwrap_or(end);
    PhysRange {
        base,
        bytes: end.saturating_sub(base),
    }
}
