//! The two ways to configuration space.

use super::{
    Address,
    bits::{CONFIG_ADDRESS, CONFIG_DATA, CONFIG_ENABLE},
};
use crate::ports::Ports;

/// Reads configuration space.
pub trait ConfigAccess {
    /// The dword at `offset` (a multiple of 4, below 256) of a function; all ones if nobody answers.
    fn read(&mut self, address: Address, offset: u16) -> u32;
}

/// Writes configuration space as well.
pub trait ConfigWrite: ConfigAccess {
    /// Sets the dword at `offset` (a multiple of 4, below 256) of a function.
    fn write(&mut self, address: Address, offset: u16, value: u32);
}

/// Configuration mechanism #1: an address port and a data port. Reaches segment 0 only. Nothing else may use the two ports
/// meanwhile.
pub struct ConfigPorts<P>(pub P);

impl<P: Ports> ConfigPorts<P> {
    /// Points the data port at a dword; false if these ports do not reach it.
    fn select(&mut self, address: Address, offset: u16) -> bool {
        if address.segment != 0 {
            return false;
        }
        let location = CONFIG_ENABLE
            | u32::from(address.bus) << 16
            | u32::from(address.device) << 11
            | u32::from(address.function) << 8
            | u32::from(offset & 0xfc);
        self.0.write_u32(CONFIG_ADDRESS, location);
        true
    }
}

impl<P: Ports> ConfigAccess for ConfigPorts<P> {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        if self.select(address, offset) {
            self.0.read_u32(CONFIG_DATA)
        } else {
            u32::MAX
        }
    }
}

impl<P: Ports> ConfigWrite for ConfigPorts<P> {
    fn write(&mut self, address: Address, offset: u16, value: u32) {
        if self.select(address, offset) {
            self.0.write_u32(CONFIG_DATA, value);
        }
    }
}

/// Memory-mapped configuration space of one segment (PCI Express Base Specification 6.0, 7.2.2), through a function that reads
/// the aligned dword at a byte offset from bus 0's first byte.
pub struct ConfigMemory<F> {
    /// Its segment.
    pub segment: u16,
    /// Its buses.
    pub buses: core::ops::RangeInclusive<u8>,
    /// Reads a dword.
    pub read: F,
}

impl<F: FnMut(u64) -> u32> ConfigAccess for ConfigMemory<F> {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        if address.segment != self.segment || !self.buses.contains(&address.bus) {
            return u32::MAX;
        }
        let location = u64::from(address.bus) << 20
            | u64::from(address.device) << 15
            | u64::from(address.function) << 12
            | u64::from(offset & 0xffc);
        (self.read)(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address = Address {
        segment: 0,
        bus: 0x12,
        device: 0x1f,
        function: 7,
    };

    /// Ports that remember the address and answer with it.
    #[derive(Default)]
    struct Echo(u32);

    impl Ports for Echo {
        fn read_u8(&mut self, port: u16) -> u8 {
            panic!("8-bit read of {port:#x}")
        }
        fn write_u8(&mut self, port: u16, _: u8) {
            panic!("8-bit write to {port:#x}")
        }
        fn read_u32(&mut self, port: u16) -> u32 {
            assert_eq!(port, 0xcfc);
            self.0
        }
        fn write_u32(&mut self, port: u16, value: u32) {
            assert_eq!(port, 0xcf8);
            self.0 = value;
        }
    }

    #[test]
    fn mechanism_1_addresses() {
        let mut access = ConfigPorts(Echo::default());
        assert_eq!(access.read(ADDRESS, 0x18), 0x8012_ff18);
        assert_eq!(
            access.read(
                Address {
                    segment: 1,
                    ..ADDRESS
                },
                0
            ),
            u32::MAX
        );
    }

    #[test]
    fn memory_addresses() {
        let mut access = ConfigMemory {
            segment: 0,
            buses: 0x10..=0x1f,
            read: |at| at as u32,
        };
        assert_eq!(access.read(ADDRESS, 0x18), 0x012f_f018);
        assert_eq!(
            access.read(
                Address {
                    bus: 0x20,
                    ..ADDRESS
                },
                0
            ),
            u32::MAX
        );
        assert_eq!(
            access.read(
                Address {
                    segment: 1,
                    ..ADDRESS
                },
                0
            ),
            u32::MAX
        );
    }
}
