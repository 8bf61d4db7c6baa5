//! Started by EFI firmware, or by a loader that left its boot services alive.

mod bundle;
mod file;
mod firmware;
mod memory;
mod screen;

use crate::{fail, handover, image};
use boot::{BOOT_PARAMS_BYTES, BootInfo, BootParams, LoaderKind, rsdp_in, utf8_from_ucs2};
use core::slice;
use firmware::Firmware;
use uefi_raw::Handle;
use uefi_raw::table::system::SystemTable;

/// From `start.s`, on the firmware's stack. `boot_params` is null for an EFI application.
#[unsafe(no_mangle)]
extern "C" fn efi_main(
    image: Handle,
    system_table: *const SystemTable,
    boot_params: *const [u8; BOOT_PARAMS_BYTES],
    tsc: u64,
) -> ! {
    // SAFETY: the firmware's contract for an EFI entry (UEFI 2.10, 4.1), and the handover entry's.
    let firmware = unsafe { Firmware::new(image, system_table) };
    handover::require_four_level_paging();
    // SAFETY: null, or the loader's record, which stays until the kernel runs.
    let params = unsafe { boot_params.as_ref() }.map(BootParams::new);
    // SAFETY: this function runs once, and no other entry does.
    let info = unsafe { handover::record() };
    info.entry_tsc = tsc;
    info.efi_system_table = system_table as u64;
    info.rsdp = rsdp_in(firmware.configuration_tables()).unwrap_or(0);
    info.framebuffer = screen::framebuffer(&firmware);
    info.secure_boot = u32::from(firmware.secure_boot());
    match &params {
        Some(params) => learn_from_loader(info, params),
        None => learn_from_options(info, &firmware),
    }
    if info.bundle.bytes == 0 {
        info.bundle = bundle::find(&firmware, &info.command_line);
    }

    let kernel = image::kernel();
    let placement = memory::place(&firmware, &mut info.memory, kernel.bytes(), handover::BYTES);
    // SAFETY: the firmware gave us that memory, which it maps one to one, and it is over once we enter the kernel.
    unsafe {
        handover::load(&kernel, placement.kernel);
        memory::exit_boot_services(firmware, &mut info.memory);
        handover::enter(info, &kernel, placement)
    }
}

/// The handover entry: the loader read command line and bundle.
fn learn_from_loader(info: &mut BootInfo, params: &BootParams) {
    info.loader = LoaderKind::EfiHandover;
    info.bundle = params.ramdisk();
    let line = params.command_line() as *const u8;
    if !line.is_null() {
        // SAFETY: the loader's command line ends with a NUL, after which `set` does not read on.
        let bytes = (0..).map(|index| unsafe { line.add(index).read() });
        info.command_line.set(bytes);
    }
}

/// The firmware started us: the load options are the command line.
fn learn_from_options(info: &mut BootInfo, firmware: &Firmware) {
    info.loader = LoaderKind::Efi;
    let Some(image) = firmware.loaded_image() else {
        fail(format_args!(
            "the firmware does not say how it loaded us (no EFI_LOADED_IMAGE_PROTOCOL); update the firmware"
        ));
    };
    if image.load_options.is_null() {
        return;
    }
    // SAFETY: the firmware says that so many bytes are there.
    let options = unsafe {
        slice::from_raw_parts(
            image.load_options.cast::<u8>(),
            image.load_options_size as usize,
        )
    };
    let units = options
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    if let Some(text) = utf8_from_ucs2(units) {
        info.command_line.set(text);
        info.command_line.drop_program_name();
    }
}
