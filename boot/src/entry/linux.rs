//! Started as a Linux kernel: everything is in `boot_params` and what it points at.

use crate::fail;
use crate::physical::Physical;
use boot::{
    BOOT_PARAMS_BYTES, BootInfo, BootParams, LoaderKind, PhysRange, SETUP_DATA_HEADER_BYTES,
    SYSTEM_TABLE_BYTES, SetupData, configuration_tables, efi_kind, efi_regions, rsdp_in,
};

/// A `setup_data` list longer than this is a loop.
const MAX_SETUP_DATA: usize = 64;

/// Fills `info` from the record at `address` and those that it names.
pub fn learn(info: &mut BootInfo, address: u64, memory: &mut Physical) {
    let record = PhysRange {
        base: address,
        bytes: BOOT_PARAMS_BYTES as u64,
    };
    // SAFETY: the record is the loader's, and the loader is done.
    let record = unsafe { memory.bytes(record) };
    let Some(record) = record.and_then(|bytes| bytes.first_chunk()) else {
        fail(format_args!(
            "the loader's boot_params are at {address:#x}, where no memory can be"
        ));
    };
    let params = &BootParams::new(record);
    if let (LoaderKind::Linux32, Some(tsc)) = (info.loader, params.real_mode_tsc()) {
        info.entry_tsc = tsc;
        info.loader = LoaderKind::Linux16;
    }
    info.secure_boot = u32::from(params.secure_boot());
    info.rsdp = params.rsdp();
    info.framebuffer = params.framebuffer();
    info.bundle = params.ramdisk();
    memory.read_command_line(params.command_line(), &mut info.command_line);
    for region in params.memory() {
        info.memory.insert(region.base, region.bytes, region.kind);
    }
    learn_setup_data(info, params.setup_data(), memory);
    if let Some(efi) = params.efi() {
        info.efi_system_table = efi.system_table;
        if info.rsdp == 0 {
            info.rsdp = learn_rsdp(efi.system_table, memory).unwrap_or(0);
        }
        // A loader's E820 map was made from EFI's; only without one is EFI's own map to be read.
        if info.memory.len == 0 {
            // SAFETY: the map is the loader's copy.
            let map = unsafe { memory.bytes(efi.memory_map) }.unwrap_or(&[]);
            for region in efi_regions(map, efi.descriptor_bytes as usize) {
                let kind = efi_kind(region.kind, region.attributes);
                info.memory.insert(region.base, region.bytes, kind);
            }
        }
    }
}

/// Looks for the RSDP in what EFI left: older loaders do not say where it is, and with EFI it is in no BIOS area.
fn learn_rsdp(system_table: u64, memory: &mut Physical) -> Option<u64> {
    let table = PhysRange {
        base: system_table,
        bytes: SYSTEM_TABLE_BYTES as u64,
    };
    // SAFETY: the table is in memory that outlives the boot services.
    let tables = configuration_tables(unsafe { memory.bytes(table) }?.first_chunk()?)?;
    // SAFETY: as above.
    rsdp_in(unsafe { memory.bytes(tables) }?)
}

/// Follows the `setup_data` list for further memory regions.
fn learn_setup_data(info: &mut BootInfo, first: u64, memory: &mut Physical) {
    let mut address = first;
    for _ in 0..MAX_SETUP_DATA {
        let header = PhysRange {
            base: address,
            bytes: SETUP_DATA_HEADER_BYTES as u64,
        };
        // SAFETY: the list is the loader's, and the loader is done.
        let Some(header) = unsafe { memory.bytes(header) }.and_then(|bytes| bytes.first_chunk())
        else {
            return;
        };
        let header = SetupData::parse(header);
        if header.kind == SetupData::E820_EXT {
            let data = PhysRange {
                base: address + SETUP_DATA_HEADER_BYTES as u64,
                bytes: u64::from(header.bytes),
            };
            // SAFETY: as above.
            let data = unsafe { memory.bytes(data) }.unwrap_or(&[]);
            for region in SetupData::memory(data) {
                info.memory.insert(region.base, region.bytes, region.kind);
            }
        }
        address = header.next;
    }
}
