//! The items of the firmware configuration device (QEMU, docs/specs/fw_cfg.rst; which firmware asks for what, its own sources say).

use super::boot_order::{self, BootPath, OrderedBy};
use crate::acpi::linked;
use crate::memory::{RangeKind, e820};
use crate::platform::{ABOVE_4G, Platform};
use crate::smbios;
use alloc::vec;
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory};

/// How an item is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// By its number.
    Selector(u16),
    /// By its name in the directory.
    File(&'static str),
}

/// What there is to tell.
pub struct Facts<'a> {
    /// For the tables.
    pub platform: &'a Platform,
    /// The guest's RAM.
    pub memory: &'a GuestMemory,
    /// Kinds of devices to boot from.
    pub order: &'a [OrderedBy],
    /// The same, drive by drive.
    pub paths: &'a [BootPath],
    /// The serial port that a firmware without a screen of its own may use as one.
    pub screen_port: Option<u16>,
}

/// How much RAM there is.
pub(super) struct Memory {
    /// One past the RAM below 4 GiB.
    pub low_end: u64,
    /// RAM above it.
    pub high_bytes: u64,
}

impl Memory {
    pub(super) fn of(memory: &GuestMemory) -> Self {
        let mut found = Self {
            low_end: 0,
            high_bytes: 0,
        };
        for region in memory.regions() {
            if region.gpa < ABOVE_4G {
                found.low_end = region.gpa.0 + region.bytes;
            } else {
                found.high_bytes += region.bytes;
            }
        }
        found
    }
}

/// Well-known numbers.
mod selector {
    pub const UUID: u16 = 0x02;
    pub const RAM_BYTES: u16 = 0x03;
    pub const NO_GRAPHICS: u16 = 0x04;
    pub const CPUS: u16 = 0x05;
    pub const NUMA: u16 = 0x0d;
    pub const BOOT_MENU: u16 = 0x0e;
    pub const MOST_CPUS: u16 = 0x0f;
    pub const IRQ0_OVERRIDE: u16 = 0x8002;
}

/// How long the firmware offers its boot menu.
const MENU_WAIT_MS: u16 = 1000;
/// ACPI sleep states 0 to 5: offered (bit 7), and what SLP_TYP says for it. Only S0 and S5 are.
const SLEEP_STATES: [u8; 6] = [0x80, 0, 0, 1, 2, 0x80];

/// All of them.
pub fn items(facts: &Facts<'_>) -> Vec<(Key, Vec<u8>)> {
    let Memory {
        low_end,
        high_bytes,
    } = Memory::of(facts.memory);
    let cpus = (facts.platform.vcpus.clamp(1, 255) as u16).to_le_bytes();
    let number = |selector: u16, bytes: &[u8]| (Key::Selector(selector), bytes.to_vec());
    let file = |name: &'static str, bytes: Vec<u8>| (Key::File(name), bytes);
    let tables = linked::files(facts.platform);
    let inventory = smbios::Table::new(facts.platform, &e820(facts.memory));
    let mut items = vec![
        number(selector::UUID, &[0; 16]),
        number(selector::RAM_BYTES, &(low_end + high_bytes).to_le_bytes()),
        number(selector::NO_GRAPHICS, &0_u16.to_le_bytes()),
        number(selector::CPUS, &cpus),
        number(selector::MOST_CPUS, &cpus),
        // No nodes.
        number(selector::NUMA, &0_u64.to_le_bytes()),
        number(selector::BOOT_MENU, &1_u16.to_le_bytes()),
        number(selector::IRQ0_OVERRIDE, &[1]),
        file("etc/boot-menu-wait", MENU_WAIT_MS.to_le_bytes().to_vec()),
        file("etc/e820", memory_map(low_end, high_bytes)),
        file("etc/system-states", SLEEP_STATES.to_vec()),
        file("bootorder", boot_order::item(facts.paths)),
        file(linked::TABLES_FILE, tables.tables),
        file(linked::RSDP_FILE, tables.rsdp),
        file(linked::SCRIPT_FILE, tables.script),
        file("etc/smbios/smbios-tables", inventory.bytes().to_vec()),
        // The firmware puts the tables where it likes.
        file("etc/smbios/smbios-anchor", inventory.anchor_32(Gpa(0))),
    ];
    if let Some(port) = facts.screen_port {
        items.push(file("etc/sercon-port", port.to_le_bytes().to_vec()));
    }
    items
}

/// RAM as the firmware is to find it, before it takes its own parts: address, length, kind.
fn memory_map(low_end: u64, high_bytes: u64) -> Vec<u8> {
    let ranges = [(0, low_end), (ABOVE_4G.0, high_bytes)];
    ranges
        .iter()
        .filter(|(_, bytes)| *bytes != 0)
        .flat_map(|(base, bytes)| {
            let kind = RangeKind::Ram as u32;
            [
                &base.to_le_bytes()[..],
                &bytes.to_le_bytes()[..],
                &kind.to_le_bytes()[..],
            ]
            .concat()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::cmos;
    use super::*;
    use crate::memory::memory_layout;
    use crate::platform::{Console, PCI_MMIO};

    fn with_facts<R>(mib: u64, body: impl FnOnce(&Facts<'_>) -> R) -> R {
        // Host pages are taken when they are touched.
        let memory = GuestMemory::anonymous(&memory_layout(mib));
        body(&Facts {
            platform: &Platform {
                vcpus: 2,
                hpet: None,
                console: Console::Screen,
                pci_memory: PCI_MMIO,
            },
            memory: &memory,
            order: &[OrderedBy::Disk],
            paths: &[BootPath::Ide(0, 0)],
            screen_port: None,
        })
    }

    fn find(items: &[(Key, Vec<u8>)], key: Key) -> &[u8] {
        &items.iter().find(|(other, _)| *other == key).unwrap().1
    }

    #[test]
    fn memory_is_told_in_three_ways() {
        with_facts(64, |facts| {
            let items = items(facts);
            let bytes = find(&items, Key::Selector(selector::RAM_BYTES));
            assert_eq!(bytes, (64_u64 << 20).to_le_bytes());
            let map = find(&items, Key::File("etc/e820"));
            assert_eq!(map.len(), 20);
            assert_eq!(map[8..16], (64_u64 << 20).to_le_bytes());
            let byte = |index| {
                let mut bytes = cmos(facts);
                u32::from(bytes.find(|(at, _)| *at == index).unwrap().1)
            };
            assert_eq!(byte(0x34) | byte(0x35) << 8, 48 << 4);
            assert_eq!(byte(0x30) | byte(0x31) << 8, 63 << 10);
            assert_eq!((byte(0x5b), byte(0x5f)), (0, 1));
        });
    }

    #[test]
    fn no_item_is_there_twice() {
        with_facts(2, |facts| {
            let items = items(facts);
            for (index, (key, _)) in items.iter().enumerate() {
                assert!(items[..index].iter().all(|(other, _)| other != key));
            }
        });
    }
}
