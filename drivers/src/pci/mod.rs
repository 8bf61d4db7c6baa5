//! PCI: finds functions ([`scan`], which only reads), and sets up those that have a driver ([`setup`]).

mod access;
pub mod bits;
mod kind;
pub mod setup;

pub use access::{ConfigAccess, ConfigMemory, ConfigPorts, ConfigWrite};
pub use kind::{Class, Kind};

use alloc::vec::Vec;
use bits::{
    BUSES, CLASS, HEADER, HEADER_LAYOUT, HEADER_MULTIFUNCTION, ID, LAYOUT_BRIDGE, NO_VENDOR,
};
use core::fmt;

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// PCI segment.
    pub segment: u16,
    /// Bus.
    pub bus: u8,
    /// Device, below 32.
    pub device: u8,
    /// Function, below 8.
    pub function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            bus,
            device,
            function,
        } = self;
        write!(out, "{segment:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

/// A function that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// Who made it.
    pub vendor: u16,
    /// What they call it.
    pub device: u16,
    /// What it is.
    pub class: Class,
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} {:04x}:{:04x} at {}",
            self.class, self.vendor, self.device, self.address
        )
    }
}

/// Which buses a scan has seen; a bridge that was set up to point back cannot make it go round.
struct Seen([u64; 4]);

impl Seen {
    /// Marks a bus; true the first time.
    fn mark(&mut self, bus: u8) -> bool {
        let word = &mut self.0[usize::from(bus / 64)];
        let before = *word;
        *word |= 1 << (bus % 64);
        *word != before
    }
}

/// All functions of a segment that are reachable from its buses `roots` over bridges that firmware has set up. Further root buses
/// announce themselves as functions of bus 0's host bridge (PCI 3.0, 3.2.2.3.2).
pub fn scan(access: &mut impl ConfigAccess, segment: u16, roots: &[u8]) -> Vec<Function> {
    let mut found = Vec::new();
    let mut seen = Seen([0; 4]);
    let mut buses: Vec<u8> = roots
        .iter()
        .copied()
        .filter(|bus| seen.mark(*bus))
        .collect();
    while let Some(bus) = buses.pop() {
        for device in 0..32 {
            let slot = Address {
                segment,
                bus,
                device,
                function: 0,
            };
            scan_slot(access, slot, &mut found, |behind| {
                if seen.mark(behind) {
                    buses.push(behind);
                }
            });
        }
    }
    found.sort_by_key(|it| (it.address.bus, it.address.device, it.address.function));
    found
}

fn scan_slot(
    access: &mut impl ConfigAccess,
    slot: Address,
    found: &mut Vec<Function>,
    mut bus: impl FnMut(u8),
) {
    let Some((first, header)) = probe(access, slot) else {
        return;
    };
    let functions = if header & HEADER_MULTIFUNCTION != 0 {
        8
    } else {
        1
    };
    let is_host_bridge = slot.bus == 0 && slot.device == 0;
    for function in 0..functions {
        let address = Address { function, ..slot };
        let probed = if function == 0 {
            Some((first, header))
        } else {
            probe(access, address)
        };
        let Some((there, header)) = probed else {
            continue;
        };
        found.push(there);
        if header & HEADER_LAYOUT == LAYOUT_BRIDGE {
            bus((access.read(address, BUSES) >> 8) as u8);
        } else if is_host_bridge {
            bus(function);
        }
    }
}

/// The function at an address, if one is there, and its header type.
fn probe(access: &mut impl ConfigAccess, address: Address) -> Option<(Function, u8)> {
    let id = access.read(address, ID);
    let vendor = id as u16;
    if vendor == NO_VENDOR {
        return None;
    }
    let [_, interface, sub, base] = access.read(address, CLASS).to_le_bytes();
    let class = Class {
        base,
        sub,
        interface,
    };
    let header = (access.read(address, HEADER) >> 16) as u8;
    Some((
        Function {
            address,
            vendor,
            device: (id >> 16) as u16,
            class,
        },
        header,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, string::ToString};

    /// Functions by bus, device, function: ID, class, header and bus registers.
    #[derive(Default)]
    struct Machine(BTreeMap<(u8, u8, u8), [u32; 4]>);

    impl ConfigAccess for Machine {
        fn read(&mut self, address: Address, offset: u16) -> u32 {
            let Some(registers) = self.0.get(&(address.bus, address.device, address.function))
            else {
                return u32::MAX;
            };
            match offset {
                ID => registers[0],
                CLASS => registers[1],
                HEADER => registers[2],
                BUSES => registers[3],
                _ => panic!("offset {offset:#x}"),
            }
        }
    }

    impl Machine {
        fn add(mut self, at: (u8, u8, u8), id: u32, class: u32, header: u32, buses: u32) -> Self {
            self.0.insert(at, [id, class << 8, header << 16, buses]);
            self
        }
    }

    #[test]
    fn a_pc_with_a_bridge() {
        let mut machine = Machine::default()
            .add((0, 0, 0), 0x1237_8086, 0x06_0000, 0, 0)
            .add((0, 1, 0), 0x7000_8086, 0x06_0100, 0x80, 0)
            .add((0, 1, 1), 0x7010_8086, 0x01_0180, 0, 0)
            .add((0, 2, 0), 0x1234_1b36, 0x06_0400, 1, 0x0005_0500)
            .add((5, 3, 0), 0x100e_8086, 0x02_0000, 0, 0);
        let found = scan(&mut machine, 0, &[0]);
        assert_eq!(found.len(), 5);
        assert_eq!(found[2].class.kind(), Kind::Storage);
        assert_eq!(found[2].to_string(), "IDE 8086:7010 at 0000:00:01.1");
        assert_eq!(found[4].to_string(), "Ethernet 8086:100e at 0000:05:03.0");
        assert_eq!(found[0].class.to_string(), "class 060000");
    }

    #[test]
    fn functions_of_a_single_function_device_are_not_looked_for() {
        let mut machine = Machine::default()
            .add((0, 3, 0), 0x1000_1af4, 0x02_0000, 0, 0)
            .add((0, 3, 1), 0x1000_1af4, 0x02_0000, 0, 0);
        assert_eq!(scan(&mut machine, 0, &[0]).len(), 1);
    }

    proptest! {
        /// Bridges that point anywhere end the scan all the same, and no function is found twice.
        #[test]
        fn any_topology_ends(
            bridges in proptest::collection::vec((0u8..4, 0u8..32, any::<u8>()), 0..20),
        ) {
            let mut machine = Machine::default();
            for (bus, device, behind) in bridges {
                machine = machine.add((bus, device, 0), 0x1234_5678, 0x06_0400, 1, u32::from(behind % 4) << 8);
            }
            let found = scan(&mut machine, 0, &[0]);
            for (index, function) in found.iter().enumerate() {
                prop_assert!(!found[..index].contains(function));
            }
        }
    }
}
