//! The tables for firmware that puts them into memory itself: not yet linked, with a script that says how (QEMU,
//! hw/acpi/bios-linker-loader.c describes the commands; SeaBIOS and OVMF obey them).
//!
//! Each pointer holds an offset, to which the firmware adds the place that it chose; then it makes each checksum right.

use super::{ALIGNMENT_BYTES, FACS, bytes_of, dsdt, fadt, hpet, madt, root};
use crate::platform::Platform;
use alloc::vec;
use alloc::vec::Vec;
use guest_mem::Gpa;

/// The file with all tables but the root.
pub const TABLES_FILE: &str = "etc/acpi/tables";
/// The file with the root.
pub const RSDP_FILE: &str = "etc/acpi/rsdp";
/// The script's own file.
pub const SCRIPT_FILE: &str = "etc/table-loader";

/// The three files.
pub struct Linked {
    /// [`TABLES_FILE`].
    pub tables: Vec<u8>,
    /// [`RSDP_FILE`].
    pub rsdp: Vec<u8>,
    /// [`SCRIPT_FILE`].
    pub script: Vec<u8>,
}

/// Where a table's checksum is.
const CHECKSUM: usize = 9;
/// Where the entries of RSDT and XSDT start.
const ENTRIES: usize = 36;
/// FADT: FACS, DSDT, the wide DSDT.
const FADT_POINTERS: [(usize, u8); 3] = [(36, 4), (40, 4), (140, 8)];
/// RSDP: RSDT, XSDT; its checksums and what they cover.
const RSDP_POINTERS: [(usize, u8); 2] = [(16, 4), (24, 8)];
const RSDP_SUMS: [(usize, usize); 2] = [(8, 20), (32, root::RSDP_BYTES as usize)];

/// The tables for `platform`.
pub fn files(platform: &Platform) -> Linked {
    let mut draft = Draft::default();
    draft.allocate(TABLES_FILE, ALIGNMENT_BYTES as u32, Zone::High);
    draft.allocate(RSDP_FILE, 16, Zone::BiosSegment);
    let facs = draft.append(&bytes_of(&FACS::new()));
    let dsdt = draft.table(&dsdt::table(platform), &[]);
    let mut listed = vec![
        draft.table(&fadt::table(platform, facs, dsdt), &FADT_POINTERS),
        draft.table(&madt::table(platform), &[]),
    ];
    if let Some(base) = platform.hpet {
        listed.push(draft.table(&hpet::table(base), &[]));
    }
    let entries = |width: u8| -> Vec<_> {
        (0..listed.len())
            .map(|index| (ENTRIES + index * usize::from(width), width))
            .collect()
    };
    let rsdt = draft.table(&root::rsdt(&listed), &entries(4));
    let xsdt = draft.table(&root::xsdt(&listed), &entries(8));
    let mut rsdp = root::rsdp(rsdt, xsdt);
    for (offset, bytes) in RSDP_POINTERS {
        draft.add_pointer(RSDP_FILE, TABLES_FILE, offset, bytes);
    }
    for (offset, bytes) in RSDP_SUMS {
        rsdp[offset] = 0;
        draft.add_checksum(RSDP_FILE, offset, 0, bytes);
    }
    Linked {
        tables: draft.tables,
        rsdp,
        script: draft.script,
    }
}

/// Where the firmware is to put a file.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Zone {
    /// Anywhere below 4 GiB.
    High = 1,
    /// Where operating systems look for the root.
    BiosSegment = 2,
}

/// Commands.
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;
const COMMAND_BYTES: usize = 128;
const NAME_BYTES: usize = 56;

#[derive(Default)]
struct Draft {
    tables: Vec<u8>,
    script: Vec<u8>,
}

impl Draft {
    /// Appends to the tables' file; the place in it.
    fn append(&mut self, bytes: &[u8]) -> Gpa {
        let at = self.tables.len().next_multiple_of(ALIGNMENT_BYTES as usize);
        self.tables.resize(at, 0);
        self.tables.extend(bytes);
        Gpa(at as u64)
    }

    /// Appends a table with pointers at these places in it, of so many bytes.
    fn table(&mut self, bytes: &[u8], pointers: &[(usize, u8)]) -> Gpa {
        let at = self.append(bytes);
        let start = at.0 as usize;
        for &(offset, width) in pointers {
            self.add_pointer(TABLES_FILE, TABLES_FILE, start + offset, width);
        }
        self.tables[start + CHECKSUM] = 0;
        self.add_checksum(TABLES_FILE, start + CHECKSUM, start, bytes.len());
        at
    }

    fn allocate(&mut self, file: &str, alignment: u32, zone: Zone) {
        let mut body = name(file);
        body.extend(alignment.to_le_bytes());
        body.push(zone as u8);
        self.command(ALLOCATE, body);
    }

    fn add_pointer(&mut self, file: &str, to: &str, offset: usize, bytes: u8) {
        let mut body = name(file);
        body.extend(name(to));
        body.extend((offset as u32).to_le_bytes());
        body.push(bytes);
        self.command(ADD_POINTER, body);
    }

    fn add_checksum(&mut self, file: &str, at: usize, start: usize, bytes: usize) {
        let mut body = name(file);
        for number in [at, start, bytes] {
            body.extend((number as u32).to_le_bytes());
        }
        self.command(ADD_CHECKSUM, body);
    }

    fn command(&mut self, command: u32, mut body: Vec<u8>) {
        self.script.extend(command.to_le_bytes());
        body.resize(COMMAND_BYTES - size_of::<u32>(), 0);
        self.script.extend(body);
    }
}

/// A file's name in a command; those above are short enough.
fn name(file: &str) -> Vec<u8> {
    let mut name = file.as_bytes().to_vec();
    name.resize(NAME_BYTES, 0);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Console, PCI_MMIO};

    fn u32_at(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize
    }

    /// Obeys the script as firmware does; the tables' file at `at`, and the root.
    fn obey(linked: &Linked, at: u32) -> (Vec<u8>, Vec<u8>) {
        let (mut tables, mut rsdp) = (linked.tables.clone(), linked.rsdp.clone());
        for command in linked.script.chunks(COMMAND_BYTES) {
            let is_root = command[4..].starts_with(RSDP_FILE.as_bytes());
            let file = if is_root { &mut rsdp } else { &mut tables };
            match u32_at(command, 0) as u32 {
                ADD_POINTER => {
                    assert!(command[60..].starts_with(TABLES_FILE.as_bytes()));
                    let offset = u32_at(command, 116);
                    let value = u32_at(file, offset) as u32 + at;
                    file[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
                }
                ADD_CHECKSUM => {
                    let [sum, start, bytes] = [60, 64, 68].map(|place| u32_at(command, place));
                    assert_eq!(file[sum], 0);
                    let total = file[start..start + bytes]
                        .iter()
                        .fold(0_u8, |total, byte| total.wrapping_add(*byte));
                    file[sum] = total.wrapping_neg();
                }
                command => assert_eq!(command, ALLOCATE),
            }
        }
        (tables, rsdp)
    }

    #[test]
    fn the_script_links_the_tables_wherever_they_are() {
        const AT: u32 = 0x7654_3000;
        let platform = Platform {
            vcpus: 3,
            hpet: Some(Gpa(0xfed0_0000)),
            console: Console::Screen,
            pci_memory: PCI_MMIO,
        };
        let (tables, rsdp) = obey(&files(&platform), AT);
        let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!((sum(&rsdp[..20]), sum(&rsdp)), (0, 0));
        let table = |address: usize| {
            let start = address - AT as usize;
            let bytes = u32_at(&tables, start + 4);
            let table = &tables[start..start + bytes];
            if &table[..4] != b"FACS" {
                assert_eq!(sum(table), 0);
            }
            table
        };
        let rsdt = table(u32_at(&rsdp, 16));
        let xsdt = table(u32_at(&rsdp, 24));
        let names: Vec<_> = rsdt[36..]
            .chunks(4)
            .map(|entry| table(u32_at(entry, 0))[..4].to_vec())
            .collect();
        assert_eq!(names, [b"FACP", b"APIC", b"HPET"]);
        for (short, long) in rsdt[36..].chunks(4).zip(xsdt[36..].chunks(8)) {
            assert_eq!(short, &long[..4]);
        }
        let fadt = table(u32_at(rsdt, 36));
        assert_eq!(&table(u32_at(fadt, 36))[..4], b"FACS");
        assert_eq!(&table(u32_at(fadt, 40))[..4], b"DSDT");
        assert_eq!(u32_at(fadt, 140), u32_at(fadt, 40));
    }
}
