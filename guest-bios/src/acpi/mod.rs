//! The guest's ACPI tables (ACPI 6.5), which describe the PC of [`crate::platform`].
//!
//! They lie in the E segment, where an operating system that is not told looks for them (5.2.5.1), and where the E820
//! map says reserved. The hardware is in ACPI mode from reset (no SMI command port), so the emulated PM block must
//! read SCI_EN as set.

mod dsdt;
mod fadt;
mod hpet;
pub mod linked;
mod madt;
mod root;

use crate::platform::{FIRMWARE, Platform};
use acpi_tables::facs::FACS;
use acpi_tables::{Aml, AmlSink};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, Unmapped};

const OEM_ID: [u8; 6] = *b"MONOVS";
const OEM_TABLE_ID: [u8; 8] = *b"MONOVISR";
const OEM_REVISION: u32 = 1;

/// Where [`install`] puts the RSDP.
pub const RSDP: Gpa = FIRMWARE;

/// A FACS must be aligned so (5.2.10); for the others 16 is enough, which the RSDP needs (5.2.5.1).
pub const ALIGNMENT_BYTES: u64 = 64;

/// Writes all tables for `platform` (of whose vCPUs the first 254 are listed: there are no more xAPIC IDs) behind the
/// root, and returns the root's address, [`RSDP`].
pub fn install(platform: &Platform, memory: &GuestMemory) -> Result<Gpa, Unmapped> {
    let facs = Gpa((RSDP.0 + root::RSDP_BYTES).next_multiple_of(ALIGNMENT_BYTES));
    let places = Places {
        rsdp: RSDP,
        facs,
        tables: facs.wrapping_add(ALIGNMENT_BYTES),
    };
    install_at(platform, memory, places)?;
    Ok(RSDP)
}

/// Where the tables go, all below 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The root.
    pub rsdp: Gpa,
    /// The FACS, which firmware and operating system share for ever: [`ALIGNMENT_BYTES`], aligned so.
    pub facs: Gpa,
    /// The others, one behind the other; an operating system may reuse their memory once it has read them.
    pub tables: Gpa,
}

/// The same with the tables elsewhere.
pub fn install_at(
    platform: &Platform,
    memory: &GuestMemory,
    places: Places,
) -> Result<(), Unmapped> {
    let Places { rsdp, facs, tables } = places;
    let mut area = Area {
        memory,
        next: tables,
    };
    memory.write(facs, &bytes_of(&FACS::new()))?;
    let dsdt = area.place(&dsdt::table(platform))?;
    let mut tables = alloc::vec![
        area.place(&fadt::table(platform, facs, dsdt))?,
        area.place(&madt::table(platform))?,
    ];
    if let Some(base) = platform.hpet {
        tables.push(area.place(&hpet::table(base))?);
    }
    let rsdt = area.place(&root::rsdt(&tables))?;
    let xsdt = area.place(&root::xsdt(&tables))?;
    memory.write(rsdp, &root::rsdp(rsdt, xsdt))
}

/// Free room for tables, from `next` on. The largest set of tables is a fifth of the segment: see the tests.
struct Area<'a> {
    memory: &'a GuestMemory,
    next: Gpa,
}

impl Area<'_> {
    fn place(&mut self, table: &[u8]) -> Result<Gpa, Unmapped> {
        let at = Gpa(self.next.0.next_multiple_of(ALIGNMENT_BYTES));
        self.memory.write(at, table)?;
        self.next = at.wrapping_add(table.len() as u64);
        Ok(at)
    }
}

fn bytes_of(aml: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    aml.to_aml_bytes(&mut bytes);
    bytes
}

/// A table of a kind that the crate has no type for: header and `body`.
fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: u32 = 36;
    let mut table = acpi_tables::sdt::Sdt::new(
        signature,
        HEADER_BYTES,
        revision,
        OEM_ID,
        OEM_TABLE_ID,
        OEM_REVISION,
    );
    // In one piece: every append sums the whole table up again.
    table.append_slice(body);
    table.as_slice().to_vec()
}

/// AML that is already encoded.
struct Encoded(Vec<u8>);

impl Encoded {
    fn of(aml: &dyn Aml) -> Self {
        Self(bytes_of(aml))
    }
}

impl Aml for Encoded {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::memory_layout;
    use crate::platform::{Console, HIGH_MEMORY};

    fn installed(vcpus: u32, hpet: Option<Gpa>) -> GuestMemory {
        let memory = GuestMemory::anonymous(&memory_layout(2));
        let platform = Platform {
            vcpus,
            hpet,
            console: Console::Serial,
            pci_memory: crate::platform::PCI_MMIO,
        };
        assert_eq!(install(&platform, &memory), Ok(RSDP));
        memory
    }

    fn bytes(memory: &GuestMemory, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0; len];
        memory.read(Gpa(at), &mut bytes).unwrap();
        bytes
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    /// The table at an address, its checksum verified.
    fn table_at(memory: &GuestMemory, at: u64) -> Vec<u8> {
        let length: u32 = memory.load(Gpa(at + 4)).unwrap();
        let table = bytes(memory, at, length as usize);
        assert_eq!(sum(&table), 0, "{:?}", table.first_chunk::<4>());
        table
    }

    /// The tables that both roots list, which must agree.
    fn listed(memory: &GuestMemory) -> Vec<Vec<u8>> {
        let rsdp = bytes(memory, RSDP.0, 36);
        assert_eq!(&rsdp[..8], b"RSD PTR ");
        assert_eq!((sum(&rsdp[..20]), sum(&rsdp)), (0, 0));
        let rsdt = table_at(memory, u32_of(&rsdp, 16).into());
        let xsdt = table_at(memory, u32_of(&rsdp, 24).into());
        assert_eq!((&rsdt[..4], &xsdt[..4]), (&b"RSDT"[..], &b"XSDT"[..]));
        let short: Vec<_> = rsdt[36..].chunks(4).map(|entry| u32_of(entry, 0)).collect();
        let long: Vec<_> = xsdt[36..].chunks(8).map(|entry| u32_of(entry, 0)).collect();
        assert_eq!(short, long);
        long.iter().map(|&at| table_at(memory, at.into())).collect()
    }

    fn u32_of(bytes: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(*bytes[offset..].first_chunk().unwrap())
    }

    #[test]
    fn the_roots_lead_to_every_table() {
        let memory = installed(1, Some(Gpa(0xfed0_0000)));
        let tables = listed(&memory);
        let signatures: Vec<_> = tables.iter().map(|table| &table[..4]).collect();
        assert_eq!(signatures, [b"FACP", b"APIC", b"HPET"]);
        assert_eq!(u32_of(&tables[2], 44), 0xfed0_0000);
        let fadt = &tables[0];
        let facs = u32_of(fadt, 36);
        assert_eq!(facs % 64, 0);
        assert_eq!(bytes(&memory, facs.into(), 4), b"FACS");
        assert_eq!(&table_at(&memory, u32_of(fadt, 40).into())[..4], b"DSDT");
        assert_eq!(listed(&installed(1, None)).len(), 2);
    }

    #[test]
    fn the_fadt_points_at_the_pm_block() {
        let fadt = &listed(&installed(1, None))[0];
        assert_eq!(
            [u32_of(fadt, 56), u32_of(fadt, 64), u32_of(fadt, 76)],
            [0x600, 0x604, 0x608]
        );
        assert_eq!(u32_of(fadt, 48), 0, "no SMI command port");
        assert_eq!(
            (fadt[116], u32_of(fadt, 120), fadt[128]),
            (1, 0xcf9, 6),
            "reset register"
        );
        assert_eq!(u32_of(fadt, 40), u32_of(fadt, 140), "both DSDT fields");
    }

    #[test]
    fn every_vcpu_has_its_local_apic() {
        for vcpus in [1_u32, 64] {
            let madt = &listed(&installed(vcpus, None))[1];
            let mut local = Vec::new();
            let mut overrides = Vec::new();
            let mut rest = &madt[44..];
            while let [kind, length, ..] = *rest {
                let (entry, more) = rest.split_at(length.into());
                match kind {
                    0 => local.push(entry[3]),
                    2 => overrides.push((entry[3], entry[4], entry[8])),
                    _ => {}
                }
                rest = more;
            }
            assert_eq!(local, (0..vcpus as u8).collect::<Vec<_>>());
            assert_eq!(
                overrides,
                [
                    (0, 2, 0),
                    (5, 5, 13),
                    (9, 9, 13),
                    (10, 10, 13),
                    (11, 11, 13)
                ]
            );
        }
    }

    #[test]
    fn the_largest_set_of_tables_leaves_the_f_segment_free() {
        let memory = installed(u32::MAX, Some(Gpa(0xfed0_0000)));
        let rsdp = bytes(&memory, RSDP.0, 36);
        let xsdt = u64::from(u32_of(&rsdp, 24));
        let end = xsdt + table_at(&memory, xsdt).len() as u64;
        assert!(end < HIGH_MEMORY.0 - 0x1_0000, "{end:#x}");
    }
}
