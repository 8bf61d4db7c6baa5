//! The Multiboot 1 information record (specification 0.6.96, 3.3).

use crate::bytes::{u32_at, u64_at};
use crate::{Framebuffer, MemoryKind, MemoryRegion, PhysRange, PixelFormat};

/// Size of the record.
pub const MULTIBOOT_INFO_BYTES: usize = 116;

/// Which parts of the record are valid.
mod flag {
    pub const COMMAND_LINE: u32 = 1 << 2;
    pub const MODULES: u32 = 1 << 3;
    pub const MEMORY_MAP: u32 = 1 << 6;
    pub const FRAMEBUFFER: u32 = 1 << 12;
}

/// Offsets of the fields that we read.
mod offset {
    pub const FLAGS: usize = 0;
    pub const CMDLINE: usize = 16;
    pub const MODS_COUNT: usize = 20;
    pub const MODS_ADDR: usize = 24;
    pub const MMAP_LENGTH: usize = 44;
    pub const MMAP_ADDR: usize = 48;
    pub const FRAMEBUFFER_ADDR: usize = 88;
    pub const FRAMEBUFFER_PITCH: usize = 96;
    pub const FRAMEBUFFER_WIDTH: usize = 100;
    pub const FRAMEBUFFER_HEIGHT: usize = 104;
    pub const FRAMEBUFFER_BPP: usize = 108;
    pub const FRAMEBUFFER_TYPE: usize = 109;
    /// Position and size of red, green, blue.
    pub const COLOR_INFO: usize = 110;
}

const FRAMEBUFFER_RGB: u8 = 1;
const FRAMEBUFFER_TEXT: u8 = 2;
const MODULE_BYTES: usize = 16;
/// What an entry of the memory map's list has after its size.
const REGION_BYTES: usize = 20;

/// The record as bytes; readers give meaning.
#[derive(Clone, Copy, Debug)]
pub struct MultibootInfo<'a>(&'a [u8; MULTIBOOT_INFO_BYTES]);

impl<'a> MultibootInfo<'a> {
    /// Looks at a record.
    pub fn new(bytes: &'a [u8; MULTIBOOT_INFO_BYTES]) -> Self {
        Self(bytes)
    }

    /// Physical address of the NUL-terminated command line; 0 if there is none.
    pub fn command_line(&self) -> u64 {
        match self.has(flag::COMMAND_LINE) {
            true => u64::from(u32_at(self.0, offset::CMDLINE)),
            false => 0,
        }
    }

    /// Where the list of modules is; see [`MultibootInfo::first_module`].
    pub fn modules(&self) -> PhysRange {
        match self.has(flag::MODULES) {
            true => PhysRange {
                base: u64::from(u32_at(self.0, offset::MODS_ADDR)),
                bytes: u64::from(u32_at(self.0, offset::MODS_COUNT)) * MODULE_BYTES as u64,
            },
            false => PhysRange::default(),
        }
    }

    /// The first module in the list, which for us is the appliance bundle.
    pub fn first_module(modules: &[u8]) -> PhysRange {
        let Some(module) = modules.get(..MODULE_BYTES) else {
            return PhysRange::default();
        };
        let (start, end) = (u32_at(module, 0), u32_at(module, 4));
        PhysRange {
            base: u64::from(start),
            bytes: u64::from(end.saturating_sub(start)),
        }
    }

    /// Where the memory map is; see [`MultibootInfo::memory`].
    pub fn memory_map(&self) -> PhysRange {
        match self.has(flag::MEMORY_MAP) {
            true => PhysRange {
                base: u64::from(u32_at(self.0, offset::MMAP_ADDR)),
                bytes: u64::from(u32_at(self.0, offset::MMAP_LENGTH)),
            },
            false => PhysRange::default(),
        }
    }

    /// The regions of the memory map: entries that begin with their size.
    pub fn memory(map: &[u8]) -> impl Iterator<Item = MemoryRegion> + '_ {
        let mut rest = map;
        core::iter::from_fn(move || {
            let (size, entries) = rest.split_first_chunk()?;
            let size = u32::from_le_bytes(*size) as usize;
            let region = entries
                .get(..size)
                .filter(|entry| entry.len() >= REGION_BYTES)?;
            rest = &entries[size..];
            Some(MemoryRegion {
                base: u64_at(region, 0),
                bytes: u64_at(region, 8),
                kind: MemoryKind::from_e820(u32_at(region, 16)),
                reserved: 0,
            })
        })
    }

    /// The screen.
    pub fn framebuffer(&self) -> Framebuffer {
        if !self.has(flag::FRAMEBUFFER) {
            return Framebuffer::None;
        }
        let (width, height) = (
            u32_at(self.0, offset::FRAMEBUFFER_WIDTH),
            u32_at(self.0, offset::FRAMEBUFFER_HEIGHT),
        );
        let colours: &[u8] = &self.0[offset::COLOR_INFO..][..6];
        match self.0[offset::FRAMEBUFFER_TYPE] {
            FRAMEBUFFER_RGB => Framebuffer::linear(
                u64_at(self.0, offset::FRAMEBUFFER_ADDR),
                u32_at(self.0, offset::FRAMEBUFFER_PITCH),
                width,
                height,
                PixelFormat {
                    bits_per_pixel: self.0[offset::FRAMEBUFFER_BPP],
                    red: (colours[0], colours[1]),
                    green: (colours[2], colours[3]),
                    blue: (colours[4], colours[5]),
                },
            ),
            FRAMEBUFFER_TEXT if width > 0 && height > 0 => Framebuffer::Text {
                columns: width,
                rows: height,
            },
            _ => Framebuffer::None,
        }
    }

    fn has(&self, flag: u32) -> bool {
        u32_at(self.0, offset::FLAGS) & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn parts_without_their_flag_are_absent() {
        let mut bytes = [0xff; MULTIBOOT_INFO_BYTES];
        bytes[..4].fill(0);
        let info = MultibootInfo::new(&bytes);
        assert_eq!(info.command_line(), 0);
        assert_eq!((info.modules().bytes, info.memory_map().bytes), (0, 0));
        assert_eq!(info.framebuffer(), Framebuffer::None);
    }

    #[test]
    fn entries_are_as_long_as_they_say() {
        let mut map = [0; 56];
        map[0] = 28;
        map[5] = 0x10;
        map[13] = 0x20;
        map[20] = 1;
        map[32] = 20;
        map[52] = 2;
        let regions: Vec<_> = MultibootInfo::memory(&map).collect();
        assert_eq!(regions.len(), 2);
        assert_eq!(
            (regions[0].base, regions[0].bytes, regions[0].kind),
            (0x1000, 0x2000, MemoryKind::Usable)
        );
        assert_eq!(regions[1].kind, MemoryKind::Reserved);
        assert_eq!(MultibootInfo::memory(&map[..31]).count(), 0);
    }

    #[test]
    fn text_and_pixels_are_told_apart() {
        let mut bytes = [0; MULTIBOOT_INFO_BYTES];
        bytes[1] = 0x10;
        bytes[100] = 80;
        bytes[104] = 25;
        bytes[109] = FRAMEBUFFER_TEXT;
        assert_eq!(
            MultibootInfo::new(&bytes).framebuffer(),
            Framebuffer::Text {
                columns: 80,
                rows: 25
            }
        );
        bytes[109] = FRAMEBUFFER_RGB;
        bytes[91] = 0x80;
        bytes[97] = 2;
        bytes[108] = 32;
        bytes[110..116].copy_from_slice(&[16, 8, 8, 8, 0, 8]);
        let expected = Framebuffer::linear(0x8000_0000, 512, 80, 25, PixelFormat::BGRX);
        assert_ne!(expected, Framebuffer::None);
        assert_eq!(MultibootInfo::new(&bytes).framebuffer(), expected);
    }

    #[test]
    fn a_module_that_ends_before_it_starts_is_empty() {
        let mut list = [0; 16];
        list[0] = 9;
        list[4] = 12;
        assert_eq!(
            MultibootInfo::first_module(&list),
            PhysRange { base: 9, bytes: 3 }
        );
        list[4] = 3;
        assert_eq!(MultibootInfo::first_module(&list).bytes, 0);
        assert_eq!(MultibootInfo::first_module(&list[..15]).bytes, 0);
    }

    proptest! {
        #[test]
        fn any_memory_map_ends(map in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(MultibootInfo::memory(&map).count() <= map.len() / 24);
        }
    }
}
