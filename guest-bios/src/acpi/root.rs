//! The tables that list the others: RSDP, RSDT, XSDT (ACPI 6.5, 5.2.5 to 5.2.8).

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes_of, table};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use alloc::vec::Vec;
use guest_mem::Gpa;

pub const RSDP_BYTES: u64 = 36;

/// The root. The crate's type leaves out the RSDT, which 32-bit operating systems of ACPI 1.0 use, so its address and the
/// checksums, which make the bytes add up to zero, are set here.
pub fn rsdp(rsdt: Gpa, xsdt: Gpa) -> Vec<u8> {
    const CHECKSUM: usize = 8;
    const RSDT_ADDRESS: usize = 16;
    const V1_BYTES: usize = 20;
    const EXTENDED_CHECKSUM: usize = 32;
    let mut rsdp = bytes_of(&Rsdp::new(OEM_ID, xsdt.0));
    rsdp[RSDT_ADDRESS..V1_BYTES].copy_from_slice(&(rsdt.0 as u32).to_le_bytes());
    for (field, bytes) in [
        (CHECKSUM, V1_BYTES),
        (EXTENDED_CHECKSUM, RSDP_BYTES as usize),
    ] {
        rsdp[field] = 0;
        let sum = rsdp[..bytes]
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        rsdp[field] = sum.wrapping_neg();
    }
    rsdp
}

pub fn rsdt(tables: &[Gpa]) -> Vec<u8> {
    let entries: Vec<u8> = tables
        .iter()
        .flat_map(|at| (at.0 as u32).to_le_bytes())
        .collect();
    table(*b"RSDT", 1, &entries)
}

pub fn xsdt(tables: &[Gpa]) -> Vec<u8> {
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    for at in tables {
        xsdt.add_entry(at.0);
    }
    bytes_of(&xsdt)
}
