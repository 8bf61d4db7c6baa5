//! Started by a PVH loader.

use crate::fail;
use crate::physical::Physical;
use boot::{BootInfo, PVH_START_INFO_BYTES, PhysRange, PvhStartInfo};

/// Fills `info` from the record at `address` and those that it names. The first module is the bundle.
pub fn learn(info: &mut BootInfo, address: u64, memory: &mut Physical) {
    let record = PhysRange {
        base: address,
        bytes: PVH_START_INFO_BYTES as u64,
    };
    // SAFETY: the record is the loader's, and the loader is done; so are the lists below.
    let record = unsafe { memory.bytes(record) };
    let record = record.and_then(|bytes| bytes.first_chunk());
    let Some(record) = record.and_then(PvhStartInfo::parse) else {
        fail(format_args!(
            "the loader's record at {address:#x} is no PVH start information with a memory map (version 1)"
        ));
    };
    info.rsdp = record.rsdp;
    memory.read_command_line(record.command_line, &mut info.command_line);
    // SAFETY: as above.
    let modules = unsafe { memory.bytes(record.modules) }.unwrap_or(&[]);
    info.bundle = PvhStartInfo::first_module(modules);
    // SAFETY: as above.
    let map = unsafe { memory.bytes(record.memory_map) }.unwrap_or(&[]);
    for region in PvhStartInfo::memory(map) {
        info.memory.insert(region.base, region.bytes, region.kind);
    }
}
