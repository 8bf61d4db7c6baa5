//! The HPET (IA-PC HPET specification 1.0a, 3.2.4).

use super::table as sdt;
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use alloc::vec::Vec;
use guest_mem::Gpa;

/// Event timer block: Intel's, revision 1, three comparators, 64-bit counter, legacy replacement.
const BLOCK_ID: u32 = 0x8086_a201;

/// One HPET at `base`.
pub fn table(base: Gpa) -> Vec<u8> {
    let mut body = BLOCK_ID.to_le_bytes().to_vec();
    let address = GAS::new(
        AddressSpace::SystemMemory,
        0,
        0,
        AccessSize::Undefined,
        base.0,
    );
    body.extend(super::bytes_of(&address));
    // Number 0, least tick 0 in periodic mode, no page protection.
    body.extend([0; 4]);
    sdt(*b"HPET", 1, &body)
}
