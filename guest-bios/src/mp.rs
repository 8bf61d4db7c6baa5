//! The MP table (Intel, MultiProcessor Specification 1.4, chapter 4), for operating systems without ACPI.

use crate::platform::{IO_APIC, LOCAL_APIC, PCI_SLOTS, Platform, SCI_IRQ, pci_irq};
use crate::sum;
use alloc::vec::Vec;
use guest_mem::Gpa;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// Bytes of the floating pointer.
pub const POINTER_BYTES: u64 = 16;

const PCI_BUS: u8 = 0;
const ISA_BUS: u8 = 1;
const IO_APIC_ID: u8 = 0;
/// The room that the table has in the firmware's segment takes no more; the table for so many is [`MAX_BYTES`] at most.
const MAX_PROCESSORS: u32 = 64;
/// Most bytes that a table takes.
pub const MAX_BYTES: u64 = 0xc00;

// Interrupt types, polarity and trigger (4.3.4).
const VECTORED: u8 = 0;
const NMI: u8 = 1;
const EXTINT: u8 = 3;
const AS_THE_BUS: u16 = 0;
const LEVEL_HIGH: u16 = 0b1101;

#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Pointer {
    signature: [u8; 4],
    table: U32,
    length: u8,
    revision: u8,
    checksum: u8,
    features: [u8; 5],
}

/// The floating pointer to a table at `table`; to lie at a multiple of 16 in the F segment.
pub fn pointer(table: Gpa) -> Vec<u8> {
    let pointer = Pointer {
        signature: *b"_MP_",
        table: (table.0 as u32).into(),
        length: 1,
        revision: 4,
        checksum: 0,
        features: [0; 5],
    };
    let mut bytes = pointer.as_bytes().to_vec();
    sum::balance(&mut bytes, 10);
    bytes
}

#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Header {
    signature: [u8; 4],
    bytes: U16,
    revision: u8,
    checksum: u8,
    oem: [u8; 8],
    product: [u8; 12],
    oem_table: U32,
    oem_bytes: U16,
    entries: U16,
    local_apic: U32,
    extended: [u8; 4],
}

/// What CPUID tells of the processors: leaf 1, EAX and EDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Family, model and stepping.
    pub version: u32,
    /// Features.
    pub features: u32,
}

/// The configuration table.
pub fn table(platform: &Platform, signature: Signature) -> Vec<u8> {
    let mut entries = Entries::default();
    for id in 0..platform.vcpus.min(MAX_PROCESSORS) as u8 {
        entries.processor(id, signature);
    }
    entries.push(&[1, PCI_BUS]);
    entries.bytes.extend(b"PCI   ");
    entries.push(&[1, ISA_BUS]);
    entries.bytes.extend(b"ISA   ");
    let [a, b, c, d] = (IO_APIC.0 as u32).to_le_bytes();
    const ENABLED: u8 = 1;
    entries.push(&[2, IO_APIC_ID, 0x11, ENABLED, a, b, c, d]);
    for slot in 1..PCI_SLOTS {
        for pin in 0..4 {
            let source = slot << 2 | pin;
            let irq = pci_irq(slot, pin);
            entries.interrupt(Wire::to_io_apic(PCI_BUS, source, irq, LEVEL_HIGH));
        }
    }
    for irq in 0..16 {
        // The timer is on pin 2, where the slave controller would be; lines 10 and 11 are PCI's.
        let (pin, flags) = match irq {
            0 => (2, AS_THE_BUS),
            2 | 10 | 11 => continue,
            SCI_IRQ => (irq, LEVEL_HIGH),
            _ => (irq, AS_THE_BUS),
        };
        entries.interrupt(Wire::to_io_apic(ISA_BUS, irq, pin, flags));
    }
    entries.interrupt(Wire::to_local_apics(EXTINT, 0));
    entries.interrupt(Wire::to_local_apics(NMI, 1));
    entries.table()
}

/// An interrupt entry: from a line of a bus to a pin of an APIC (4.3.4, 4.3.5).
struct Wire {
    entry: u8,
    kind: u8,
    flags: u16,
    bus: u8,
    source: u8,
    apic: u8,
    pin: u8,
}

impl Wire {
    fn to_io_apic(bus: u8, source: u8, pin: u8, flags: u16) -> Self {
        Self {
            entry: 3,
            kind: VECTORED,
            flags,
            bus,
            source,
            apic: IO_APIC_ID,
            pin,
        }
    }

    /// To LINT0 or LINT1 of every CPU.
    fn to_local_apics(kind: u8, pin: u8) -> Self {
        const EVERY_LOCAL_APIC: u8 = 0xff;
        Self {
            entry: 4,
            kind,
            flags: AS_THE_BUS,
            bus: ISA_BUS,
            source: 0,
            apic: EVERY_LOCAL_APIC,
            pin,
        }
    }
}

#[derive(Default)]
struct Entries {
    bytes: Vec<u8>,
    count: u16,
}

impl Entries {
    fn push(&mut self, entry: &[u8]) {
        self.bytes.extend(entry);
        self.count += 1;
    }

    fn processor(&mut self, id: u8, signature: Signature) {
        const LOCAL_APIC_VERSION: u8 = 0x14;
        const ENABLED: u8 = 1;
        const BOOT: u8 = 2;
        let flags = if id == 0 { ENABLED | BOOT } else { ENABLED };
        self.push(&[0, id, LOCAL_APIC_VERSION, flags]);
        self.bytes.extend(signature.version.to_le_bytes());
        self.bytes.extend(signature.features.to_le_bytes());
        self.bytes.extend([0; 8]);
    }

    fn interrupt(&mut self, wire: Wire) {
        let [low, high] = wire.flags.to_le_bytes();
        let Wire {
            entry,
            kind,
            bus,
            source,
            apic,
            pin,
            ..
        } = wire;
        self.push(&[entry, kind, low, high, bus, source, apic, pin]);
    }

    fn table(self) -> Vec<u8> {
        const CHECKSUM: usize = 7;
        let bytes = size_of::<Header>() + self.bytes.len();
        let header = Header {
            signature: *b"PCMP",
            bytes: (bytes as u16).into(),
            revision: 4,
            checksum: 0,
            oem: *b"MONOVSR ",
            product: *b"PC          ",
            oem_table: 0.into(),
            oem_bytes: 0.into(),
            entries: self.count.into(),
            local_apic: (LOCAL_APIC.0 as u32).into(),
            extended: [0; 4],
        };
        let mut table = header.as_bytes().to_vec();
        table.extend(self.bytes);
        sum::balance(&mut table, CHECKSUM);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Console;

    #[test]
    fn the_entries_are_as_many_as_the_header_says() {
        let signature = Signature {
            version: 0x800f12,
            features: 0x178b_fbff,
        };
        let table = table(
            &Platform {
                vcpus: 3,
                hpet: None,
                console: Console::Serial,
                pci_memory: crate::platform::PCI_MMIO,
            },
            signature,
        );
        assert_eq!(sum::of(&table), 0);
        assert_eq!(
            usize::from(u16::from_le_bytes([table[4], table[5]])),
            table.len()
        );
        let (mut at, mut count, mut kinds) = (44, 0, [0; 5]);
        while at < table.len() {
            let kind = usize::from(table[at]);
            kinds[kind] += 1;
            at += if kind == 0 { 20 } else { 8 };
            count += 1;
        }
        assert_eq!(at, table.len());
        assert_eq!(count, u16::from_le_bytes([table[34], table[35]]));
        assert_eq!(kinds, [3, 2, 1, 31 * 4 + 13, 2]);
        assert_eq!(table[44 + 3], 3, "the first is the boot processor");
    }

    #[test]
    fn each_of_64_processors_is_listed_within_the_room() {
        let signature = Signature {
            version: 0,
            features: 0,
        };
        for (vcpus, listed) in [(1, 1), (64, 64), (u32::MAX, 64)] {
            let platform = Platform {
                vcpus,
                hpet: None,
                pci_memory: crate::platform::PCI_MMIO,
                console: Console::Serial,
            };
            let table = table(&platform, signature);
            assert!(table.len() as u64 <= MAX_BYTES, "{}", table.len());
            let ids = table[44..].chunks(20).take_while(|entry| entry[0] == 0);
            let ids: Vec<_> = ids.map(|entry| entry[1]).collect();
            assert_eq!(ids, (0..listed).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn the_pointer_leads_to_the_table() {
        let pointer = pointer(Gpa(0xf_0400));
        assert_eq!(
            (pointer.len() as u64, sum::of(&pointer)),
            (POINTER_BYTES, 0)
        );
        assert_eq!(&pointer[..10], b"_MP_\x00\x04\x0f\x00\x01\x04");
    }
}
