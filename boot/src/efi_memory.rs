//! The EFI memory map (UEFI 2.10, 7.2.3), as bytes from the firmware or from a loader that kept them.

use crate::MemoryKind;
use crate::bytes::{u32_at, u64_at};

/// One descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EfiRegion {
    /// First byte.
    pub base: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// `EFI_MEMORY_TYPE`.
    pub kind: u32,
    /// `EFI_MEMORY_…` attributes.
    pub attributes: u64,
}

/// `EfiConventionalMemory`: free while the boot services live.
const CONVENTIONAL: u32 = 7;
/// `EFI_MEMORY_SP`: memory set apart for a special purpose, not for everybody's use.
const SPECIFIC_PURPOSE: u64 = 0x4_0000;
const DESCRIPTOR_BYTES: usize = 40;
const PAGE_BYTES: u64 = 4096;

impl EfiRegion {
    /// Whether it may be allocated while the boot services live.
    pub fn is_free(&self) -> bool {
        self.kind == CONVENTIONAL && self.attributes & SPECIFIC_PURPOSE == 0
    }
}

/// What a type of EFI memory may be used for once the boot services are gone (UEFI 2.10, table 7.6 and 7.10). Unaccepted
/// memory and types that we do not know are not touched.
pub fn efi_kind(kind: u32, attributes: u64) -> MemoryKind {
    match kind {
        // Loader and boot-services code and data, conventional memory.
        1..=4 | CONVENTIONAL if attributes & SPECIFIC_PURPOSE == 0 => MemoryKind::Usable,
        8 => MemoryKind::Unusable,
        9 => MemoryKind::AcpiReclaimable,
        10 => MemoryKind::AcpiNvs,
        14 => MemoryKind::Persistent,
        _ => MemoryKind::Reserved,
    }
}

/// The descriptors in `map`, each `descriptor_bytes` long: firmware may use more than the fields that we know. Nothing, if
/// it claims to use less.
pub fn efi_regions(map: &[u8], descriptor_bytes: usize) -> impl Iterator<Item = EfiRegion> + '_ {
    let map = if descriptor_bytes < DESCRIPTOR_BYTES {
        &[]
    } else {
        map
    };
    map.chunks_exact(descriptor_bytes.max(DESCRIPTOR_BYTES))
        .map(|descriptor| EfiRegion {
            kind: u32_at(descriptor, 0),
            base: u64_at(descriptor, 8),
            bytes: u64_at(descriptor, 24).saturating_mul(PAGE_BYTES),
            attributes: u64_at(descriptor, 32),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn descriptors_may_be_longer_than_we_know() {
        let mut map = [0xff; 96];
        for (start, kind) in [(0, 7), (48, 3)] {
            map[start..start + 40].fill(0);
            map[start] = kind;
            map[start + 9] = 0x10;
            map[start + 24] = 2;
        }
        let regions: Vec<_> = efi_regions(&map, 48).collect();
        assert_eq!(regions.len(), 2);
        assert_eq!(
            (regions[1].base, regions[1].bytes, regions[1].kind),
            (0x1000, 0x2000, 3)
        );
        assert!(regions[0].is_free() && !regions[1].is_free());
        assert_eq!(efi_regions(&map, 39).count(), 0);
    }

    #[test]
    fn types_have_the_use_that_the_specification_gives_them() {
        use MemoryKind::*;
        let kinds = [
            Reserved,
            Usable,
            Usable,
            Usable,
            Usable,
            Reserved,
            Reserved,
            Usable,
            Unusable,
            AcpiReclaimable,
            AcpiNvs,
            Reserved,
            Reserved,
            Reserved,
            Persistent,
            Reserved,
            Reserved,
        ];
        for (kind, expected) in kinds.into_iter().enumerate() {
            assert_eq!(efi_kind(kind as u32, 0xf), expected, "type {kind}");
        }
        assert_eq!(efi_kind(7, SPECIFIC_PURPOSE), Reserved);
    }
}
