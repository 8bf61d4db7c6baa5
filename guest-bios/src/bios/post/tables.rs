//! Tables for operating systems: in the ROM's segment, where they are looked for, and ACPI's at the end of RAM.

use super::super::Bios;
use super::super::call::Call;
use super::super::layout::Layout;
use crate::tables::in_rom;
use crate::{acpi, rom, sum, tables};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, Unmapped};

// Anchors are looked for at multiples of 16.
const RSDP: Gpa = in_rom(0);
const BIOS32: Gpa = in_rom(0x40);

/// Installs what there is room for. A guest with less than 2 MiB does without ACPI.
pub fn install(bios: &Bios, call: &mut Call<'_>) {
    if let Err(error) = write(bios, call.machine.memory()) {
        call.machine
            .log(format_args!("BIOS: tables are missing: {error}"));
    }
}

fn write(bios: &Bios, memory: &GuestMemory) -> Result<(), Unmapped> {
    if let Some(layout) = Layout::of(memory) {
        let places = acpi::Places {
            rsdp: RSDP,
            facs: layout.shared,
            tables: layout.tables,
        };
        acpi::install_at(&bios.platform, memory, places)?;
    }
    memory.write(BIOS32, &bios32())?;
    tables::install(&bios.platform, bios.processor, &bios.memory_map, memory)
}

/// The BIOS32 directory's header (Standard BIOS 32-bit Service Directory 0.4): its entry, revision 0, one paragraph.
fn bios32() -> Vec<u8> {
    let mut header = b"_32_".to_vec();
    header.extend((in_rom(rom::bios32::DIRECTORY).0 as u32).to_le_bytes());
    header.extend([0, 1]);
    header.resize(16, 0);
    sum::balance(&mut header, 10);
    header
}
