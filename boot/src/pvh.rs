//! The PVH start information (Xen public/arch-x86/hvm/start_info.h), version 1 and later.

use crate::bytes::{u32_at, u64_at};
use crate::{MemoryKind, MemoryRegion, PhysRange};

/// How much of the record is read.
pub const PVH_START_INFO_BYTES: usize = 56;

const MAGIC: u32 = 0x336e_c578;
const MODULE_BYTES: u64 = 32;
const REGION_BYTES: u64 = 24;

/// What the loader hands over; lists are where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PvhStartInfo {
    /// Physical address of the NUL-terminated command line; 0 if there is none.
    pub command_line: u64,
    /// Physical address of the ACPI RSDP; 0 if there is none.
    pub rsdp: u64,
    /// The list of modules; see [`PvhStartInfo::first_module`].
    pub modules: PhysRange,
    /// The memory map; see [`PvhStartInfo::memory`].
    pub memory_map: PhysRange,
}

impl PvhStartInfo {
    /// Reads a record. `None` if it is none, or of version 0, which has no memory map.
    pub fn parse(bytes: &[u8; PVH_START_INFO_BYTES]) -> Option<Self> {
        let valid = u32_at(bytes, 0) == MAGIC && u32_at(bytes, 4) >= 1;
        valid.then(|| Self {
            command_line: u64_at(bytes, 24),
            rsdp: u64_at(bytes, 32),
            modules: PhysRange {
                base: u64_at(bytes, 16),
                bytes: u64::from(u32_at(bytes, 12)) * MODULE_BYTES,
            },
            memory_map: PhysRange {
                base: u64_at(bytes, 40),
                bytes: u64::from(u32_at(bytes, 48)) * REGION_BYTES,
            },
        })
    }

    /// The first module in the list, which for us is the appliance bundle.
    pub fn first_module(modules: &[u8]) -> PhysRange {
        match modules.get(..MODULE_BYTES as usize) {
            Some(module) => PhysRange {
                base: u64_at(module, 0),
                bytes: u64_at(module, 8),
            },
            None => PhysRange::default(),
        }
    }

    /// The regions of the memory map; their types are E820's.
    pub fn memory(map: &[u8]) -> impl Iterator<Item = MemoryRegion> + '_ {
        map.chunks_exact(REGION_BYTES as usize)
            .map(|entry| MemoryRegion {
                base: u64_at(entry, 0),
                bytes: u64_at(entry, 8),
                kind: MemoryKind::from_e820(u32_at(entry, 16)),
                reserved: 0,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_with_a_memory_map_are_read() {
        let mut bytes = [0; PVH_START_INFO_BYTES];
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[12] = 1;
        bytes[17] = 0x10;
        bytes[24] = 2;
        bytes[32] = 3;
        bytes[41] = 0x20;
        bytes[48] = 5;
        assert_eq!(PvhStartInfo::parse(&bytes), None);
        bytes[4] = 1;
        let expected = PvhStartInfo {
            command_line: 2,
            rsdp: 3,
            modules: PhysRange {
                base: 0x1000,
                bytes: 32,
            },
            memory_map: PhysRange {
                base: 0x2000,
                bytes: 120,
            },
        };
        assert_eq!(PvhStartInfo::parse(&bytes), Some(expected));
    }

    #[test]
    fn lists_are_read_as_far_as_they_go() {
        let mut list = [0; 48];
        list[1] = 0x10;
        list[9] = 0x20;
        list[16] = 1;
        assert_eq!(
            PvhStartInfo::first_module(&list),
            PhysRange {
                base: 0x1000,
                bytes: 0x2000
            }
        );
        assert_eq!(
            PvhStartInfo::first_module(&list[..31]),
            PhysRange::default()
        );
        let kinds: std::vec::Vec<_> = PvhStartInfo::memory(&list[..47])
            .map(|region| region.kind)
            .collect();
        assert_eq!(kinds, [MemoryKind::Usable]);
    }
}
