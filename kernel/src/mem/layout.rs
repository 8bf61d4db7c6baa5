//! Where physical memory is seen.

use super::image;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_mem::Hpa;

/// Virtual address of physical address 0 in the direct map.
pub const DIRECT_MAP_BASE: u64 = 0xffff_8000_0000_0000;
/// End of the physical addresses that the direct map has room for (127 TiB).
pub const DIRECT_MAP_LIMIT: u64 = 0x7f00_0000_0000;
/// Virtual address of the first stack slot.
pub const STACKS_BASE: u64 = 0xffff_ff80_0000_0000;

/// 0 while the boot code's identity map is in use, then [`DIRECT_MAP_BASE`].
static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Where a physical address is seen. Valid for all RAM of the memory map, and for what [`super::map_mmio`] and its
/// siblings have mapped; a plain addition.
#[inline]
pub fn phys_to_virt(hpa: Hpa) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut((hpa.0 + OFFSET.load(Ordering::Relaxed)) as usize)
}

/// The physical address of something in the direct map or in the kernel image: statics, heap and frames, not stacks.
#[inline]
pub fn virt_to_phys<T>(pointer: *const T) -> Hpa {
    let address = pointer.addr() as u64;
    match image::offset_of(address) {
        Some(offset) => image::base().wrapping_add(offset),
        None => Hpa(address.wrapping_sub(OFFSET.load(Ordering::Relaxed))),
    }
}

pub(super) fn use_direct_map() {
    OFFSET.store(DIRECT_MAP_BASE, Ordering::Relaxed);
}
