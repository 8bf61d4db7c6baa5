//! Started as a Linux kernel: everything is in `boot_params` and what it points at.

use crate::physical::Physical;
use crate::{console, fail, handover, image};
use boot::{
    BOOT_PARAMS_BYTES, BootInfo, BootParams, Framebuffer, LoaderKind, MAX_COMMAND_LINE_BYTES,
    PhysRange, SETUP_DATA_HEADER_BYTES, SYSTEM_TABLE_BYTES, SetupData, configuration_tables,
    efi_kind, efi_regions, place, rsdp_in,
};

/// A `setup_data` list longer than this is a loop.
const MAX_SETUP_DATA: usize = 64;

/// From `start.s`, with our own stack and segments, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn linux_main(loader: LoaderKind, boot_params: u64, tsc: u64) -> ! {
    // SAFETY: the entry runs once; the 32-bit one has just loaded these tables, the 64-bit one comes in long mode.
    let mut memory = unsafe {
        match loader {
            LoaderKind::Linux64 => Physical::take_over(),
            _ => Physical::resume(),
        }
    };
    let range = PhysRange {
        base: boot_params,
        bytes: BOOT_PARAMS_BYTES as u64,
    };
    // SAFETY: the record is the loader's, and the loader is done.
    let record = unsafe { memory.bytes(range) };
    let Some(record) = record.and_then(|bytes| bytes.first_chunk()) else {
        fail(format_args!(
            "the loader's boot_params are at {boot_params:#x}, where no memory can be"
        ));
    };
    let params = BootParams::new(record);
    // SAFETY: this function runs once, and no other entry does.
    let info = unsafe { handover::record() };
    info.entry_tsc = tsc;
    info.loader = loader;
    if let Some(tsc) = params
        .real_mode_tsc()
        .filter(|_| loader == LoaderKind::Linux32)
    {
        info.entry_tsc = tsc;
        info.loader = LoaderKind::Linux16;
    }
    learn(info, &params, &mut memory);

    let kernel = image::kernel();
    let busy = [image::range(), info.bundle];
    let Some(placement) = place(&info.memory, kernel.bytes(), handover::BYTES, &busy) else {
        fail(format_args!(
            "found no {} KiB of free memory in one piece from 1 MiB to 4 GiB for the kernel; \
             give the machine more memory, or load a smaller bundle",
            (kernel.bytes() + handover::BYTES) >> 10
        ));
    };
    // SAFETY: `place` gave memory that the loader calls usable and that holds neither us nor the bundle; the rest that
    // the loader left is read, and our tables map all below 4 GiB.
    unsafe {
        handover::load(&kernel, placement.kernel);
        handover::enter(info, &kernel, placement)
    }
}

/// Fills `info` from the loader's records.
fn learn(info: &mut BootInfo, params: &BootParams, memory: &mut Physical) {
    info.secure_boot = u32::from(params.secure_boot());
    info.rsdp = params.rsdp();
    info.framebuffer = params.framebuffer();
    if let Framebuffer::Text { .. } = info.framebuffer {
        console::use_text_screen();
    }
    info.bundle = params.ramdisk();
    let line = PhysRange {
        base: params.command_line(),
        bytes: MAX_COMMAND_LINE_BYTES as u64,
    };
    // SAFETY: the loader is done with its command line.
    if let Some(bytes) = unsafe { memory.bytes(line) } {
        info.command_line.set(bytes.iter().copied());
    }
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
    if info.memory.len == 0 {
        fail(format_args!(
            "the loader gave no memory map, neither E820 nor EFI; use a loader that follows the Linux/x86 boot protocol"
        ));
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
