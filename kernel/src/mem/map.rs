//! Mappings on demand, each at its physical address in the direct map, so that asking twice is free and no page can
//! get two memory types (which the SDM, vol. 3, 12.12.4, forbids).
//!
//! Callable from any CPU, not from interrupt handlers. Mappings stay for good.

use super::layout::DIRECT_MAP_LIMIT;
use super::paging::{Bits, with_kernel_tables};
use super::{LARGE_PAGE_BYTES, PAGE_BYTES, outward, phys_to_virt};
use boot::PhysRange;
use guest_mem::Hpa;

/// Device registers, uncached. `None` if the address is beyond what can be mapped, or no frame is left for a table.
/// Pages that are RAM or mapped already keep the memory type that they have.
pub fn map_mmio(hpa: Hpa, bytes: u64) -> Option<*mut u8> {
    map(hpa, bytes, Bits::DEVICE)
}

/// A frame buffer: writable, write-combining. As [`map_mmio`] otherwise.
pub fn map_framebuffer(hpa: Hpa, bytes: u64) -> Option<*mut u8> {
    map(hpa, bytes, Bits::WRITE_COMBINED)
}

/// Firmware tables in memory that the map calls reserved: read-only, with the memory type of the MTRRs. As [`map_mmio`]
/// otherwise.
pub fn map_firmware(hpa: Hpa, bytes: u64) -> Option<*const u8> {
    map(hpa, bytes, Bits::CONSTANT).map(<*mut u8>::cast_const)
}

fn map(hpa: Hpa, bytes: u64, bits: Bits) -> Option<*mut u8> {
    let pages = outward(PhysRange { base: hpa.0, bytes });
    if pages.base.checked_add(pages.bytes)? > DIRECT_MAP_LIMIT {
        return None;
    }
    let end = pages.base + pages.bytes;
    with_kernel_tables(|tables| {
        let mut base = pages.base;
        while base < end {
            let virt = phys_to_virt(Hpa(base)).addr() as u64;
            let absent = tables.absent_bytes(virt);
            let large = absent >= LARGE_PAGE_BYTES
                && base.is_multiple_of(LARGE_PAGE_BYTES)
                && end - base >= LARGE_PAGE_BYTES;
            let step = if large { LARGE_PAGE_BYTES } else { PAGE_BYTES };
            if absent != 0 {
                tables
                    .map(virt, PhysRange { base, bytes: step }, bits)
                    .ok()?;
            }
            base += step;
        }
        Some(phys_to_virt(hpa))
    })
}
