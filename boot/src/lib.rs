//! What every loader leaves behind, in one [`BootInfo`].
//!
//! The library half of this package is the contract between the entry code (the `monovisor-boot` binary, one entry per
//! loader protocol) and the kernel, and those parts of the entry code that only compute: reading what loaders and
//! firmware hand over, merging memory maps, choosing a place for the kernel, filling page tables. It holds plain data,
//! with physical addresses only; it never follows one, so all of it runs in tests on the host.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod boot_params;
mod bytes;
mod command_line;
mod efi_memory;
mod efi_tables;
mod elf;
mod info;
pub mod lz4;
mod memory;
mod multiboot;
mod pixels;
mod place;
mod pvh;
mod tables;
mod ucs2;

pub use boot_params::{BOOT_PARAMS_BYTES, BootParams, EfiInfo, SETUP_DATA_HEADER_BYTES, SetupData};
pub use efi_memory::{EfiRegion, efi_kind, efi_regions};
pub use efi_tables::{SYSTEM_TABLE_BYTES, configuration_tables, rsdp_in};
pub use elf::{ElfError, Kernel, Segment};
pub use info::{
    BootInfo, CommandLine, Framebuffer, LoaderKind, MAX_COMMAND_LINE_BYTES, MAX_MEMORY_REGIONS,
    MemoryKind, MemoryMap, MemoryRegion, PhysRange, PixelFormat,
};
pub use multiboot::{MULTIBOOT_INFO_BYTES, MultibootInfo};
pub use place::{Placement, place};
pub use pvh::{PVH_START_INFO_BYTES, PvhStartInfo};
pub use tables::{LARGE_PAGE_BYTES, PageTables, Table, TablesExhausted};
pub use ucs2::{directory_of, path_from_utf8, utf8_from_ucs2};
