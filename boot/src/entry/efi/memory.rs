//! The firmware's memory map: a place for the kernel in it, and the map that the kernel gets.

use super::firmware::Firmware;
use crate::fail;
use boot::{MemoryKind, MemoryMap, Placement, efi_kind, efi_regions};
use core::slice;
use uefi_raw::Status;

/// The map grows by what is allocated between asking for its size and reading it.
const SPARE_BYTES: usize = 4096;
/// Each end of the boot services may find a map that firmware's own events have changed; the specification expects a
/// second try.
const MAX_TRIES: usize = 8;

/// A buffer for the map in pages of its own, so that reading it again needs no allocation.
struct Buffer {
    address: u64,
    bytes: usize,
}

/// The map at one moment.
struct Snapshot<'a> {
    map: &'a [u8],
    descriptor_bytes: usize,
    key: usize,
}

impl Buffer {
    fn new(firmware: &Firmware) -> Self {
        let bytes = match read(firmware, 0, 0) {
            Err((_, needed)) => needed + SPARE_BYTES,
            Ok(_) => SPARE_BYTES,
        };
        let Some(address) = firmware.allocate(bytes as u64, None) else {
            fail(format_args!(
                "the EFI firmware has no {bytes} bytes left for a copy of its memory map"
            ));
        };
        Self { address, bytes }
    }

    fn read(&self, firmware: &Firmware) -> Snapshot<'_> {
        match read(firmware, self.address, self.bytes) {
            Ok(snapshot) => snapshot,
            Err((status, _)) => firmware.fail("tell its memory map", status, "update the firmware"),
        }
    }
}

/// Reads the map into `bytes` bytes at `address`. The error holds how many bytes it needs.
fn read<'a>(
    firmware: &Firmware,
    address: u64,
    bytes: usize,
) -> Result<Snapshot<'a>, (Status, usize)> {
    let (mut used, mut key, mut descriptor_bytes, mut version) = (bytes, 0, 0, 0);
    // SAFETY: a call by the specification; the callers own the buffer.
    let status = unsafe {
        let get = firmware.services().get_memory_map;
        get(
            &mut used,
            address as *mut _,
            &mut key,
            &mut descriptor_bytes,
            &mut version,
        )
    };
    if status != Status::SUCCESS || address == 0 {
        return Err((status, used));
    }
    // SAFETY: the firmware has just written so many bytes there.
    let map = unsafe { slice::from_raw_parts(address as *const u8, used.min(bytes)) };
    Ok(Snapshot {
        map,
        descriptor_bytes,
        key,
    })
}

/// Finds and allocates memory for kernel and hand-over. `scratch` is overwritten.
pub fn place(
    firmware: &Firmware,
    scratch: &mut MemoryMap,
    kernel_bytes: u64,
    boot_bytes: u64,
) -> Placement {
    let buffer = Buffer::new(firmware);
    let snapshot = buffer.read(firmware);
    scratch.len = 0;
    for region in
        efi_regions(snapshot.map, snapshot.descriptor_bytes).filter(|region| region.is_free())
    {
        scratch.insert(region.base, region.bytes, MemoryKind::Usable);
    }
    firmware.free(buffer.address, buffer.bytes as u64);
    let placement = boot::place(scratch, kernel_bytes, boot_bytes, &[]);
    let allocated = placement.filter(|place| {
        firmware
            .allocate(
                place.kernel.bytes + place.boot.bytes,
                Some(place.kernel.base),
            )
            .is_some()
    });
    match allocated {
        Some(placement) => placement,
        None => fail(format_args!(
            "the EFI firmware has no {} KiB of free memory in one piece from 1 MiB to 4 GiB for the kernel; \
             give the machine more memory, or load a smaller bundle",
            (kernel_bytes + boot_bytes) >> 10
        )),
    }
}

/// Ends the boot services and writes the memory map that is then valid to `memory`.
pub fn exit_boot_services(firmware: Firmware, memory: &mut MemoryMap) {
    let buffer = Buffer::new(&firmware);
    let mut status = Status::SUCCESS;
    firmware.stop_output();
    for _ in 0..MAX_TRIES {
        let snapshot = buffer.read(&firmware);
        status = firmware.exit_boot_services(snapshot.key);
        if status == Status::SUCCESS {
            memory.len = 0;
            for region in efi_regions(snapshot.map, snapshot.descriptor_bytes) {
                let kind = efi_kind(region.kind, region.attributes);
                memory.insert(region.base, region.bytes, kind);
            }
            return;
        }
    }
    firmware.fail(
        "end its boot services",
        status,
        "unplug devices that are not needed, or update the firmware",
    )
}
