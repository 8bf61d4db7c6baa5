//! Tables for operating systems: ACPI at the end of RAM, and its root in the ROM's segment.

use super::super::Bios;
use super::super::call::Call;
use super::super::layout;
use crate::acpi;
use crate::rom;
use guest_mem::Gpa;

/// Where the ACPI root is in the ROM's segment.
const RSDP: Gpa = Gpa((rom::SEGMENT as u64) << 4);

/// Installs what there is room for. A guest with less than 2 MiB does without ACPI.
pub fn install(bios: &Bios, call: &mut Call<'_>) {
    let Some(tables) = layout::tables(call.machine.memory()) else {
        return;
    };
    let result = acpi::install_at(&bios.platform, call.machine.memory(), RSDP, tables);
    if let Err(error) = result {
        call.machine
            .log(format_args!("BIOS: no ACPI tables: {error}"));
    }
}
