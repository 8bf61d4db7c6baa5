//! The Linux/x86 boot protocol's record (`boot_params`, "zero page") that loaders fill.
//!
//! Offsets by the protocol's description and `struct boot_params`; everything in it is the loader's word, so every
//! number is only reported, never followed.

use crate::bytes::{u16_at, u32_at};
use crate::{Framebuffer, MemoryKind, MemoryRegion, PhysRange, PixelFormat};

/// Size of the record.
pub const BOOT_PARAMS_BYTES: usize = 4096;
/// Size of the header of each further record in the `setup_data` list.
pub const SETUP_DATA_HEADER_BYTES: usize = 16;

const E820_ENTRY_BYTES: usize = 20;
const E820_MAX_ENTRIES: usize = 128;

/// Offsets of the fields that we read.
mod offset {
    pub const CURSOR_COLUMNS: usize = 0x07;
    pub const LINES: usize = 0x0e;
    pub const SCREEN_KIND: usize = 0x0f;
    pub const LFB_WIDTH: usize = 0x12;
    pub const LFB_HEIGHT: usize = 0x14;
    pub const LFB_DEPTH: usize = 0x16;
    pub const LFB_BASE: usize = 0x18;
    pub const LFB_LINE_BYTES: usize = 0x24;
    pub const LFB_COLOURS: usize = 0x26;
    pub const SCREEN_CAPABILITIES: usize = 0x36;
    pub const EXT_LFB_BASE: usize = 0x3a;
    pub const ACPI_RSDP: usize = 0x70;
    pub const EXT_RAMDISK_IMAGE: usize = 0xc0;
    pub const EXT_RAMDISK_SIZE: usize = 0xc4;
    pub const EXT_CMD_LINE_PTR: usize = 0xc8;
    pub const EFI_INFO: usize = 0x1c0;
    pub const E820_ENTRIES: usize = 0x1e8;
    pub const SECURE_BOOT: usize = 0x1ec;
    pub const RAMDISK_IMAGE: usize = 0x218;
    pub const RAMDISK_SIZE: usize = 0x21c;
    pub const CMD_LINE_PTR: usize = 0x228;
    pub const SETUP_DATA: usize = 0x250;
    pub const E820_TABLE: usize = 0x2d0;
    /// Unused by the protocol; our own 16-bit entry leaves "MV16" and the TSC here.
    pub const REAL_MODE_MARK: usize = 0xcd0;
}

/// `orig_video_isVGA`: what kind of screen is described.
mod screen {
    pub const TEXT: u8 = 0x01;
    pub const VESA_FRAMEBUFFER: u8 = 0x23;
    pub const EFI_FRAMEBUFFER: u8 = 0x70;
    /// In `capabilities`: `ext_lfb_base` holds the address' upper half.
    pub const CAPABILITY_64BIT_BASE: u32 = 2;
}

/// The record as bytes; readers give meaning.
#[derive(Clone, Copy, Debug)]
pub struct BootParams<'a>(&'a [u8; BOOT_PARAMS_BYTES]);

/// What an EFI loader left after it ended the boot services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EfiInfo {
    /// The system table, physical.
    pub system_table: u64,
    /// The memory map, physical.
    pub memory_map: PhysRange,
    /// Size of one of its descriptors.
    pub descriptor_bytes: u32,
}

/// The header of a record in the `setup_data` list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupData {
    /// Physical address of the next record; 0 ends the list.
    pub next: u64,
    /// What follows the header.
    pub kind: u32,
    /// How many bytes follow the header.
    pub bytes: u32,
}

impl SetupData {
    /// More E820 entries, of 20 bytes each.
    pub const E820_EXT: u32 = 1;

    /// Reads a header.
    pub fn parse(header: &[u8; SETUP_DATA_HEADER_BYTES]) -> Self {
        Self {
            next: u64::from(u32_at(header, 0)) | u64::from(u32_at(header, 4)) << 32,
            kind: u32_at(header, 8),
            bytes: u32_at(header, 12),
        }
    }

    /// The memory regions in the data of an [`SetupData::E820_EXT`] record.
    pub fn memory(data: &[u8]) -> impl Iterator<Item = MemoryRegion> + '_ {
        data.chunks_exact(E820_ENTRY_BYTES).map(e820_region)
    }
}

impl<'a> BootParams<'a> {
    /// Looks at a record.
    pub fn new(bytes: &'a [u8; BOOT_PARAMS_BYTES]) -> Self {
        Self(bytes)
    }

    /// The E820 entries, as the firmware gave them.
    pub fn memory(&self) -> impl Iterator<Item = MemoryRegion> + use<'a> {
        let count = usize::from(self.0[offset::E820_ENTRIES]).min(E820_MAX_ENTRIES);
        self.0[offset::E820_TABLE..][..count * E820_ENTRY_BYTES]
            .chunks_exact(E820_ENTRY_BYTES)
            .map(e820_region)
    }

    /// The initrd, which for us is the appliance bundle.
    pub fn ramdisk(&self) -> PhysRange {
        PhysRange {
            base: self.halves(offset::RAMDISK_IMAGE, offset::EXT_RAMDISK_IMAGE),
            bytes: self.halves(offset::RAMDISK_SIZE, offset::EXT_RAMDISK_SIZE),
        }
    }

    /// Physical address of the NUL-terminated command line; 0 if there is none.
    pub fn command_line(&self) -> u64 {
        self.halves(offset::CMD_LINE_PTR, offset::EXT_CMD_LINE_PTR)
    }

    /// Physical address of the first `setup_data` record; 0 if there is none.
    pub fn setup_data(&self) -> u64 {
        self.halves(offset::SETUP_DATA, offset::SETUP_DATA + 4)
    }

    /// Physical address of the ACPI RSDP; 0 if the loader did not say.
    pub fn rsdp(&self) -> u64 {
        self.halves(offset::ACPI_RSDP, offset::ACPI_RSDP + 4)
    }

    /// Whether the loader says that Secure Boot is on (`efi_secureboot_mode_enabled`).
    pub fn secure_boot(&self) -> bool {
        self.0[offset::SECURE_BOOT] == 3
    }

    /// What a 64-bit EFI left, if the loader says so.
    pub fn efi(&self) -> Option<EfiInfo> {
        let info = &self.0[offset::EFI_INFO..];
        info.starts_with(b"EL64").then(|| EfiInfo {
            system_table: self.halves(offset::EFI_INFO + 4, offset::EFI_INFO + 24),
            memory_map: PhysRange {
                base: self.halves(offset::EFI_INFO + 16, offset::EFI_INFO + 28),
                bytes: u64::from(u32_at(info, 20)),
            },
            descriptor_bytes: u32_at(info, 8),
        })
    }

    /// The TSC at our own 16-bit entry, if that is where we come from.
    pub fn real_mode_tsc(&self) -> Option<u64> {
        let mark = &self.0[offset::REAL_MODE_MARK..];
        mark.starts_with(b"MV16")
            .then(|| self.halves(offset::REAL_MODE_MARK + 4, offset::REAL_MODE_MARK + 8))
    }

    /// The screen (`screen_info`).
    pub fn framebuffer(&self) -> Framebuffer {
        let (columns, rows) = (self.0[offset::CURSOR_COLUMNS], self.0[offset::LINES]);
        match self.0[offset::SCREEN_KIND] {
            screen::TEXT if columns > 0 && rows > 0 => Framebuffer::Text {
                columns: u32::from(columns),
                rows: u32::from(rows),
            },
            screen::VESA_FRAMEBUFFER | screen::EFI_FRAMEBUFFER => self.linear(),
            _ => Framebuffer::None,
        }
    }

    fn linear(&self) -> Framebuffer {
        let colours: &[u8] = &self.0[offset::LFB_COLOURS..][..6];
        let upper =
            u32_at(self.0, offset::SCREEN_CAPABILITIES) & screen::CAPABILITY_64BIT_BASE != 0;
        let base = match upper {
            true => self.halves(offset::LFB_BASE, offset::EXT_LFB_BASE),
            false => u64::from(u32_at(self.0, offset::LFB_BASE)),
        };
        let format = PixelFormat {
            bits_per_pixel: u16_at(self.0, offset::LFB_DEPTH) as u8,
            red: (colours[1], colours[0]),
            green: (colours[3], colours[2]),
            blue: (colours[5], colours[4]),
        };
        Framebuffer::linear(
            base,
            u32::from(u16_at(self.0, offset::LFB_LINE_BYTES)),
            u32::from(u16_at(self.0, offset::LFB_WIDTH)),
            u32::from(u16_at(self.0, offset::LFB_HEIGHT)),
            format,
        )
    }

    fn halves(&self, low: usize, high: usize) -> u64 {
        u64::from(u32_at(self.0, low)) | u64::from(u32_at(self.0, high)) << 32
    }
}

fn e820_region(entry: &[u8]) -> MemoryRegion {
    MemoryRegion {
        base: u64::from(u32_at(entry, 0)) | u64::from(u32_at(entry, 4)) << 32,
        bytes: u64::from(u32_at(entry, 8)) | u64::from(u32_at(entry, 12)) << 32,
        kind: MemoryKind::from_e820(u32_at(entry, 16)),
        reserved: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn with(fields: &[(usize, &[u8])]) -> [u8; BOOT_PARAMS_BYTES] {
        let mut bytes = [0; BOOT_PARAMS_BYTES];
        for (offset, value) in fields {
            bytes[*offset..][..value.len()].copy_from_slice(value);
        }
        bytes
    }

    #[test]
    fn addresses_join_their_upper_halves() {
        let bytes = with(&[
            (0x218, &[1, 0, 0, 0]),
            (0x0c0, &[2, 0, 0, 0]),
            (0x21c, &[3, 0, 0, 0]),
            (0x0c4, &[0, 0, 0, 0]),
            (0x228, &[4, 0, 0, 0]),
            (0x0c8, &[5, 0, 0, 0]),
        ]);
        let params = BootParams::new(&bytes);
        let ramdisk = PhysRange {
            base: 0x2_0000_0001,
            bytes: 3,
        };
        assert_eq!(params.ramdisk(), ramdisk);
        assert_eq!(params.command_line(), 0x5_0000_0004);
    }

    #[test]
    fn e820_entries_beyond_the_table_are_not_there() {
        let entry = [
            0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
        ];
        let bytes = with(&[(0x1e8, &[255]), (0x2d0, &entry)]);
        let regions: Vec<_> = BootParams::new(&bytes).memory().collect();
        assert_eq!(regions.len(), 128);
        assert_eq!(
            (regions[0].base, regions[0].bytes, regions[0].kind),
            (0x10_0000, 0x2000, MemoryKind::Usable)
        );
        assert_eq!(regions[1].kind, MemoryKind::Reserved);
    }

    #[test]
    fn a_framebuffer_above_4_gib_is_found() {
        let bytes = with(&[
            (0x0f, &[0x70]),
            (0x12, &[0, 4, 0, 3, 32, 0]),
            (0x18, &[0, 0, 0, 0x80]),
            (0x24, &[0, 16]),
            (0x26, &[8, 16, 8, 8, 8, 0]),
            (0x36, &[2, 0, 0, 0]),
            (0x3a, &[7, 0, 0, 0]),
        ]);
        let expected = Framebuffer::Linear {
            base: 0x7_8000_0000,
            pitch_bytes: 4096,
            width: 1024,
            height: 768,
            format: PixelFormat {
                bits_per_pixel: 32,
                red: (16, 8),
                green: (8, 8),
                blue: (0, 8),
            },
        };
        assert_eq!(BootParams::new(&bytes).framebuffer(), expected);
    }

    #[test]
    fn text_mode_and_no_screen_are_told_apart() {
        let text = with(&[(0x07, &[80]), (0x0e, &[25, 1])]);
        assert_eq!(
            BootParams::new(&text).framebuffer(),
            Framebuffer::Text {
                columns: 80,
                rows: 25
            }
        );
        assert_eq!(BootParams::new(&with(&[])).framebuffer(), Framebuffer::None);
    }

    #[test]
    fn efi_counts_only_with_its_signature() {
        let mut bytes = with(&[
            (0x1c0, b"EL64"),
            (0x1c4, &[1]),
            (0x1c8, &[48]),
            (0x1d0, &[2]),
            (0x1d4, &[96]),
            (0x1d8, &[3]),
        ]);
        let expected = EfiInfo {
            system_table: 0x3_0000_0001,
            memory_map: PhysRange { base: 2, bytes: 96 },
            descriptor_bytes: 48,
        };
        assert_eq!(BootParams::new(&bytes).efi(), Some(expected));
        bytes[0x1c3] = b'2';
        assert_eq!(BootParams::new(&bytes).efi(), None);
    }

    #[test]
    fn the_mark_of_the_16_bit_entry_carries_its_time() {
        let bytes = with(&[(0xcd0, b"MV16"), (0xcd4, &[5]), (0xcd8, &[1])]);
        assert_eq!(BootParams::new(&bytes).real_mode_tsc(), Some(0x1_0000_0005));
        assert_eq!(BootParams::new(&with(&[])).real_mode_tsc(), None);
    }

    #[test]
    fn setup_data_headers_and_their_regions() {
        let header = [1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 45, 0, 0, 0];
        let expected = SetupData {
            next: 0x2_0000_0001,
            kind: SetupData::E820_EXT,
            bytes: 45,
        };
        assert_eq!(SetupData::parse(&header), expected);
        assert_eq!(SetupData::memory(&[0; 45]).count(), 2);
    }
}
