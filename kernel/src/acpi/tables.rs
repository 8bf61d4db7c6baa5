//! Finding tables: the `acpi` crate walks the root table, after its size was found believable.

use super::handler::Machine;
use super::rsdp;
use crate::mem::map_firmware;
use crate::warn;
use ::acpi::AcpiTables;
use ::acpi::rsdp::Rsdp;
use guest_mem::Hpa;
use spin::Once;

/// No real table is longer; the largest DSDTs have a few hundred KiB.
const MAX_TABLE_BYTES: u32 = 4 << 20;
/// No real root table is longer: it has eight bytes per table.
const MAX_ROOT_BYTES: u32 = 4096;
const HEADER_BYTES: u32 = 36;

static TABLES: Once<Option<AcpiTables<Machine>>> = Once::new();

/// Looks for the root table. `rsdp` is what the loader handed over, 0 if nothing.
pub(super) fn init(rsdp: u64) {
    TABLES.call_once(|| {
        let found = Some(Hpa(rsdp))
            .filter(|rsdp| rsdp.0 != 0)
            .or_else(rsdp::search);
        let tables = found.and_then(open);
        if tables.is_none() {
            warn!(
                "no usable ACPI tables: one CPU, and no power-off, by what is known of this machine"
            );
        }
        tables
    });
}

fn open(rsdp: Hpa) -> Option<AcpiTables<Machine>> {
    let pointer = map_firmware(rsdp, size_of::<Rsdp>() as u64)?;
    // SAFETY: mapped, and any bytes make an `Rsdp`.
    let root_pointer = unsafe { pointer.cast::<Rsdp>().read_unaligned() };
    let revision = if root_pointer.revision >= 2 && root_pointer.xsdt_address != 0 {
        2
    } else {
        0
    };
    let root = if revision == 0 {
        Hpa(u64::from(root_pointer.rsdt_address))
    } else {
        Hpa(root_pointer.xsdt_address)
    };
    let believable = root_pointer.signature == *b"RSD PTR "
        && length(root).is_some_and(|length| length <= MAX_ROOT_BYTES);
    // SAFETY: the root table's header was just read there, and its length is a table's.
    believable
        .then(|| unsafe { AcpiTables::from_rsdt(Machine, revision, root.0 as usize) }.ok())
        .flatten()
}

/// A table's length, if there can be a table.
fn length(table: Hpa) -> Option<u32> {
    if table.0 == 0 {
        return None;
    }
    let header = map_firmware(table, u64::from(HEADER_BYTES))?;
    // SAFETY: mapped; the length is the dword at offset 4.
    let length = unsafe { header.byte_add(4).cast::<u32>().read_unaligned() };
    (HEADER_BYTES..=MAX_TABLE_BYTES)
        .contains(&length)
        .then_some(length)
}

/// The bytes of the table at an address, header included.
pub(crate) fn at(table: Hpa) -> Option<&'static [u8]> {
    let bytes = length(table)?;
    let pointer = map_firmware(table, u64::from(bytes))?;
    // SAFETY: mapped for good; tables lie in memory that the allocator never gets.
    Some(unsafe { core::slice::from_raw_parts(pointer, bytes as usize) })
}

/// Every table that the root table names and that is believable.
pub(crate) fn all() -> impl Iterator<Item = &'static [u8]> {
    TABLES
        .get()
        .and_then(Option::as_ref)
        .into_iter()
        .flat_map(AcpiTables::table_entries)
        .filter_map(|address| at(Hpa(address as u64)))
}
