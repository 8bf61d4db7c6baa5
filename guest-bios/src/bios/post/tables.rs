//! Tables for operating systems: in the ROM's segment, where they are looked for, and ACPI's at the end of RAM.

use super::super::Bios;
use super::super::call::Call;
use super::super::layout::Layout;
use crate::{acpi, mp, pir, rom, smbios, sum};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, Unmapped};

const fn in_rom(offset: u16) -> Gpa {
    Gpa(((rom::SEGMENT as u64) << 4) + offset as u64)
}

// Anchors are looked for at multiples of 16.
const RSDP: Gpa = in_rom(0);
const BIOS32: Gpa = in_rom(0x40);
const SMBIOS: Gpa = in_rom(0x60);
const SMBIOS_32: Gpa = in_rom(0x80);
const MP_POINTER: Gpa = in_rom(0xa0);
const PIR: Gpa = in_rom(0x100);
const MP: Gpa = in_rom(0x400);
const SMBIOS_TABLE: Gpa = in_rom(0x1000);
const _: () = assert!(MP.0 + mp::MAX_BYTES <= SMBIOS_TABLE.0);

/// Installs what there is room for. A guest with less than 2 MiB does without ACPI.
pub fn install(bios: &Bios, call: &mut Call<'_>) {
    if let Err(error) = write(bios, call.machine.memory()) {
        call.machine
            .log(format_args!("BIOS: tables are missing: {error}"));
    }
}

fn write(bios: &Bios, memory: &GuestMemory) -> Result<(), Unmapped> {
    if let Some(Layout { tables, shared }) = Layout::of(memory) {
        let places = acpi::Places {
            rsdp: RSDP,
            facs: shared,
            tables,
        };
        acpi::install_at(&bios.platform, memory, places)?;
    }
    memory.write(BIOS32, &bios32())?;
    memory.write(PIR, &pir::table())?;
    memory.write(MP_POINTER, &mp::pointer(MP))?;
    memory.write(MP, &mp::table(&bios.platform, bios.processor))?;
    let inventory = smbios::Table::new(&bios.platform, &bios.memory_map);
    memory.write(SMBIOS, &inventory.anchor(SMBIOS_TABLE))?;
    memory.write(SMBIOS_32, &inventory.anchor_32(SMBIOS_TABLE))?;
    memory.write(SMBIOS_TABLE, inventory.bytes())
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
