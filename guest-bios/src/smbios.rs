//! SMBIOS 3 (DMTF DSP0134 3.0), with the anchor of 2.x for software that looks for that one alone.

use crate::memory::{Range, RangeKind};
use crate::platform::Platform;
use crate::sum;
use alloc::vec::Vec;
use guest_mem::Gpa;

/// Bytes of the 64-bit anchor (5.2.2).
pub const ANCHOR_BYTES: u64 = 24;
/// Bytes of the 32-bit anchor (5.2.1).
pub const ANCHOR_32_BYTES: u64 = 31;

const MAKER: &str = "Monovisor";

/// The structures, and what the anchors tell of them.
pub struct Table {
    bytes: Vec<u8>,
    count: u16,
    largest: u16,
}

impl Table {
    /// The machine as an operating system's inventory shows it: firmware, system, chassis, processors, memory.
    pub fn new(platform: &Platform, map: &[Range]) -> Self {
        let mut table = Self {
            bytes: Vec::new(),
            count: 0,
            largest: 0,
        };
        table.firmware();
        table.system();
        table.chassis();
        table.processor(platform.vcpus);
        table.memory(map);
        table.push(32, 0x2000, &[0; 7], &[]); // system boot information: no errors
        table.push(127, 0x7f00, &[], &[]);
        table
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a structure: header, fields, strings, and the zero byte that ends them.
    fn push(&mut self, kind: u8, handle: u16, fields: &[u8], strings: &[&str]) {
        let start = self.bytes.len();
        let [low, high] = handle.to_le_bytes();
        self.bytes.extend([kind, 4 + fields.len() as u8, low, high]);
        self.bytes.extend(fields);
        for text in strings {
            self.bytes.extend(text.as_bytes());
            self.bytes.push(0);
        }
        if strings.is_empty() {
            self.bytes.push(0);
        }
        self.bytes.push(0);
        self.count += 1;
        self.largest = self.largest.max((self.bytes.len() - start) as u16);
    }

    /// Type 0 (7.1).
    fn firmware(&mut self) {
        /// PCI, boot from CD and selectable boot, EDD.
        const CHARACTERISTICS: u64 = 1 << 7 | 1 << 15 | 1 << 16 | 1 << 19;
        /// ACPI; a virtual machine.
        const EXTENSION: [u8; 2] = [1, 0x10];
        let mut fields = alloc::vec![1, 2, 0, 0xf0, 3, 0];
        fields.extend(CHARACTERISTICS.to_le_bytes());
        fields.extend(EXTENSION);
        fields.extend([0, 1, 0xff, 0xff]);
        let version = env!("CARGO_PKG_VERSION");
        self.push(0, 0, &fields, &[MAKER, version, "11/22/2026"]);
    }

    /// Type 1 (7.2), without a UUID.
    fn system(&mut self) {
        const POWER_SWITCH: u8 = 6;
        let mut fields = alloc::vec![1, 2, 3, 0];
        fields.extend([0; 16]);
        fields.extend([POWER_SWITCH, 0, 0]);
        self.push(1, 0x100, &fields, &[MAKER, "PC (i440FX + PIIX)", "1"]);
    }

    /// Type 3 (7.4).
    fn chassis(&mut self) {
        const OTHER: u8 = 1;
        const SAFE: u8 = 3;
        let fields = [
            1, OTHER, 0, 0, 0, SAFE, SAFE, SAFE, SAFE, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        self.push(3, 0x300, &fields, &[MAKER]);
    }

    /// Type 4 (7.5): one core without details; CPUID tells them.
    /// Type 4: one package with a core for each vCPU, as CPUID tells it.
    fn processor(&mut self, vcpus: u32) {
        const CENTRAL: u8 = 3;
        const UNKNOWN: u8 = 2;
        const OTHER: u8 = 1;
        const POPULATED_ENABLED: u8 = 0x41;
        const NONE: [u8; 2] = [0xff; 2];
        // FFh in a byte: see the words.
        let short = vcpus.min(0xff) as u8;
        let [low, high, ..] = vcpus.min(0xfffe).to_le_bytes();
        let mut fields = alloc::vec![1, CENTRAL, OTHER, 2];
        fields.extend([0; 8]); // ID
        fields.extend([0, 0, 0, 0, 0, 0, 0, 0]); // version, voltage, clock, greatest and present speed
        fields.extend([POPULATED_ENABLED, OTHER]);
        fields.extend([NONE, NONE, NONE].concat()); // caches
        fields.extend([0, 0, 0, short, short, short]); // strings; cores, enabled, threads
        fields.extend([4, 0]); // 64-bit capable
        fields.extend([UNKNOWN, 0]); // family
        fields.extend([low, high].repeat(3)); // counts again, in words
        self.push(4, 0x400, &fields, &["CPU", MAKER]);
    }

    /// Types 16, 17 and 19: one array of one device, mapped where the RAM is.
    fn memory(&mut self, map: &[Range]) {
        const MIB: u64 = 1 << 20;
        let usable = map.iter().filter(|range| range.kind != RangeKind::Reserved);
        let total: u64 = usable.clone().map(|range| range.bytes).sum();
        let total_mib = total.div_ceil(MIB);
        let kib = u32::try_from(total_mib * 1024).unwrap_or(0x8000_0000);
        let mut array = alloc::vec![1, 3, 3]; // other place, system memory, no correction
        array.extend(kib.min(0x8000_0000).to_le_bytes());
        array.extend([0xfe, 0xff, 1, 0]);
        array.extend((total_mib * MIB).to_le_bytes());
        self.push(16, 0x1000, &array, &[]);
        let (short, long) = match u16::try_from(total_mib) {
            Ok(mib) if mib < 0x7fff => (mib, 0),
            _ => (0x7fff, total_mib.min(0x7fff_ffff) as u32),
        };
        let mut device = alloc::vec![0x00, 0x10, 0xfe, 0xff]; // array, no error information
        device.extend([64, 0, 64, 0]); // widths
        device.extend(short.to_le_bytes());
        device.extend([9, 0, 1, 0, 7, 2, 0, 0, 0, 2, 0, 0, 0, 0]);
        device.extend(long.to_le_bytes());
        device.extend([0; 8]); // speed, voltages
        self.push(17, 0x1100, &device, &["DIMM 0", MAKER]);
        let pieces = map.iter().filter(|range| range.kind == RangeKind::Ram);
        for (index, range) in (0..).zip(pieces.take(8)) {
            let mut mapped = Vec::new();
            mapped.extend(u32::MAX.to_le_bytes());
            mapped.extend(u32::MAX.to_le_bytes());
            mapped.extend([0x00, 0x10, 1]);
            mapped.extend(range.base.0.to_le_bytes());
            mapped.extend((range.base.0 + range.bytes - 1).to_le_bytes());
            self.push(19, 0x1300 + index, &mapped, &[]);
        }
    }

    /// The anchor of version 3, for a table at `at`.
    pub fn anchor(&self, at: Gpa) -> Vec<u8> {
        let mut anchor = b"_SM3_\0".to_vec();
        anchor.extend([ANCHOR_BYTES as u8, 3, 0, 0, 1, 0]);
        anchor.extend((self.bytes.len() as u32).to_le_bytes());
        anchor.extend(at.0.to_le_bytes());
        sum::balance(&mut anchor, 5);
        anchor
    }

    /// The anchor of version 2.8, for a table at `at` below 4 GiB.
    pub fn anchor_32(&self, at: Gpa) -> Vec<u8> {
        const INTERMEDIATE: usize = 16;
        let mut tail = b"_DMI_\0".to_vec();
        tail.extend((self.bytes.len() as u16).to_le_bytes());
        tail.extend((at.0 as u32).to_le_bytes());
        tail.extend(self.count.to_le_bytes());
        tail.push(0x28);
        sum::balance(&mut tail, 5);
        let mut anchor = b"_SM_\0".to_vec();
        anchor.extend([ANCHOR_32_BYTES as u8, 2, 8]);
        anchor.extend(self.largest.to_le_bytes());
        anchor.resize(INTERMEDIATE, 0);
        anchor.extend(tail);
        sum::balance(&mut anchor, 4);
        anchor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::e820;
    use crate::platform::Console;
    use guest_mem::GuestMemory;

    fn table(mib: u64) -> Table {
        let memory = GuestMemory::anonymous(&crate::memory::memory_layout(mib));
        Table::new(
            &Platform {
                vcpus: 2,
                hpet: None,
                console: Console::Serial,
                pci_memory: crate::platform::PCI_MMIO,
            },
            &e820(&memory),
        )
    }

    /// Kind, length of the fields, and strings of every structure.
    fn structures(table: &Table) -> Vec<(u8, u8, usize)> {
        let mut rest = table.bytes();
        let mut found = Vec::new();
        while let [kind, length, ..] = *rest {
            let strings = &rest[usize::from(length)..];
            let end = strings.windows(2).position(|pair| pair == [0, 0]).unwrap();
            let count = strings[..end]
                .split(|&byte| byte == 0)
                .filter(|text| !text.is_empty());
            found.push((kind, length, count.count()));
            rest = &strings[end + 2..];
        }
        found
    }

    #[test]
    fn structures_follow_each_other_to_the_end() {
        let table = table(64);
        let found = structures(&table);
        assert_eq!(found.len(), usize::from(table.count));
        let lengths: Vec<_> = found
            .iter()
            .map(|&(kind, length, _)| (kind, length))
            .collect();
        let expected = [
            (0, 24),
            (1, 27),
            (3, 22),
            (4, 48),
            (16, 23),
            (17, 40),
            (19, 31),
            (19, 31),
            (32, 11),
            (127, 4),
        ];
        assert_eq!(lengths, expected);
    }

    #[test]
    fn both_anchors_add_up_and_point_at_the_table() {
        let table = table(64);
        let anchor = table.anchor(Gpa(0xf_0800));
        assert_eq!((anchor.len() as u64, sum::of(&anchor)), (ANCHOR_BYTES, 0));
        assert_eq!(anchor[16..], 0xf_0800_u64.to_le_bytes());
        let anchor = table.anchor_32(Gpa(0xf_0800));
        assert_eq!(
            (anchor.len() as u64, sum::of(&anchor)),
            (ANCHOR_32_BYTES, 0)
        );
        assert_eq!(sum::of(&anchor[16..]), 0);
        assert_eq!(anchor[24..28], 0xf_0800_u32.to_le_bytes());
    }
}
