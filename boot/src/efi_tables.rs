//! The EFI system table and its configuration tables (UEFI 2.10, 4.3 and 4.6), as bytes: the firmware's, or what is left
//! of them after a loader ended the boot services.

use crate::PhysRange;
use crate::bytes::u64_at;

/// How much of the system table is read.
pub const SYSTEM_TABLE_BYTES: usize = 120;

const SIGNATURE: &[u8; 8] = b"IBI SYST";
const NUMBER_OF_TABLE_ENTRIES: usize = 104;
const CONFIGURATION_TABLE: usize = 112;
/// A GUID and an address.
const ENTRY_BYTES: usize = 24;
/// Real firmware has a dozen.
const MAX_ENTRIES: u64 = 1024;

/// EFI_ACPI_20_TABLE_GUID and ACPI_TABLE_GUID: the newer first, for firmware keeps the older one for systems that know no
/// better.
const ACPI: [[u8; 16]; 2] = [
    [
        0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88,
        0x81,
    ],
    [
        0x30, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1,
        0x4d,
    ],
];

/// Where a system table says that its configuration tables are listed. `None` if it is none.
pub fn configuration_tables(system_table: &[u8; SYSTEM_TABLE_BYTES]) -> Option<PhysRange> {
    let count = u64_at(system_table, NUMBER_OF_TABLE_ENTRIES);
    let valid = system_table.starts_with(SIGNATURE) && count <= MAX_ENTRIES;
    valid.then(|| PhysRange {
        base: u64_at(system_table, CONFIGURATION_TABLE),
        bytes: count * ENTRY_BYTES as u64,
    })
}

/// The RSDP's physical address in a list of configuration tables.
pub fn rsdp_in(tables: &[u8]) -> Option<u64> {
    let of = |guid: &[u8; 16]| {
        tables
            .chunks_exact(ENTRY_BYTES)
            .find(|entry| entry.starts_with(guid))
    };
    ACPI.iter().find_map(of).map(|entry| u64_at(entry, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acpi_2_comes_before_acpi_1() {
        let mut tables = [0; 72];
        tables[24..40].copy_from_slice(&ACPI[1]);
        tables[40] = 1;
        assert_eq!(rsdp_in(&tables), Some(1));
        tables[48..64].copy_from_slice(&ACPI[0]);
        tables[64] = 2;
        assert_eq!(rsdp_in(&tables), Some(2));
        assert_eq!(rsdp_in(&tables[..47]), None);
    }

    #[test]
    fn a_system_table_is_known_by_its_signature() {
        let mut table = [0; SYSTEM_TABLE_BYTES];
        table[104] = 3;
        table[113] = 0x10;
        assert_eq!(configuration_tables(&table), None);
        table[..8].copy_from_slice(SIGNATURE);
        let expected = PhysRange {
            base: 0x1000,
            bytes: 72,
        };
        assert_eq!(configuration_tables(&table), Some(expected));
        table[111] = 1;
        assert_eq!(configuration_tables(&table), None);
    }
}
