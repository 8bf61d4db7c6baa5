//! Started by a Multiboot 1 loader.

use crate::fail;
use crate::physical::Physical;
use boot::{BootInfo, MULTIBOOT_INFO_BYTES, MultibootInfo, PhysRange};

/// Fills `info` from the record at `address` and those that it names. The first module is the bundle.
pub fn learn(info: &mut BootInfo, address: u64, memory: &mut Physical) {
    let record = PhysRange {
        base: address,
        bytes: MULTIBOOT_INFO_BYTES as u64,
    };
    // SAFETY: the record is the loader's, and the loader is done; so are the lists below.
    let record = unsafe { memory.bytes(record) };
    let Some(record) = record.and_then(|bytes| bytes.first_chunk()) else {
        fail(format_args!(
            "the loader's Multiboot record is at {address:#x}, where no memory can be"
        ));
    };
    let record = MultibootInfo::new(record);
    info.framebuffer = record.framebuffer();
    memory.read_command_line(record.command_line(), &mut info.command_line);
    info.command_line.drop_program_name();
    // SAFETY: as above.
    let modules = unsafe { memory.bytes(record.modules()) }.unwrap_or(&[]);
    info.bundle = MultibootInfo::first_module(modules);
    // SAFETY: as above.
    let map = unsafe { memory.bytes(record.memory_map()) }.unwrap_or(&[]);
    for region in MultibootInfo::memory(map) {
        info.memory.insert(region.base, region.bytes, region.kind);
    }
}
