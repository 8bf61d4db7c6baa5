//! Tables that an operating system looks for in the F segment, whichever way it was started: the PCI interrupt routing table, the MP
//! table, and SMBIOS.

use crate::memory::Range;
use crate::mp::{self, Signature};
use crate::platform::Platform;
use crate::{pir, rom, smbios};
use guest_mem::{Gpa, GuestMemory, Unmapped};

/// An address in the F segment.
pub(crate) const fn in_rom(offset: u16) -> Gpa {
    Gpa(((rom::SEGMENT as u64) << 4) + offset as u64)
}

// Anchors are looked for at multiples of 16.
const SMBIOS: Gpa = in_rom(0x60);
const SMBIOS_32: Gpa = in_rom(0x80);
const MP_POINTER: Gpa = in_rom(0xa0);
const PIR: Gpa = in_rom(0x100);
const MP: Gpa = in_rom(0x400);
const SMBIOS_TABLE: Gpa = in_rom(0x1000);
const _: () = assert!(MP.0 + mp::MAX_BYTES <= SMBIOS_TABLE.0);

/// Writes them for `platform`, whose processors' CPUID tells `signature`, with `map` as the memory map.
pub fn install(
    platform: &Platform,
    signature: Signature,
    map: &[Range],
    memory: &GuestMemory,
) -> Result<(), Unmapped> {
    memory.write(PIR, &pir::table())?;
    memory.write(MP_POINTER, &mp::pointer(MP))?;
    memory.write(MP, &mp::table(platform, signature))?;
    let inventory = smbios::Table::new(platform, map);
    memory.write(SMBIOS, &inventory.anchor(SMBIOS_TABLE))?;
    memory.write(SMBIOS_32, &inventory.anchor_32(SMBIOS_TABLE))?;
    memory.write(SMBIOS_TABLE, inventory.bytes())
}
