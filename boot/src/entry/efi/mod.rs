//! Started by EFI firmware, or by a loader that left its boot services alive.

use uefi_raw::Status;

/// From `start.s`, on the firmware's stack. Returns only if the kernel cannot be started.
#[unsafe(no_mangle)]
extern "C" fn efi_main(_handle: u64, _system_table: u64, _boot_params: u64, _tsc: u64) -> Status {
    Status::LOAD_ERROR
}
