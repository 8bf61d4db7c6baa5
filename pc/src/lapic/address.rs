//! What messages find a local APIC by: its id, its logical id and the mode that it is in (SDM vol. 3A, 11.6.2).

use super::Lapic;
use super::bits::DFR_MODEL;
use hvm::apic::{Destination, DestinationMode};

/// How an APIC is addressed. A value, so that a vCPU can show its own to those that send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    id: u32,
    naming: Naming,
}

/// How the logical destinations of messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// The APIC is switched off: no message reaches it.
    Off,
    /// xAPIC mode, eight bits, each an APIC.
    Flat(u8),
    /// xAPIC mode, a cluster of four bits, and four bits in it.
    Cluster(u8),
    /// x2APIC mode, where the id gives cluster and bit.
    X2Apic,
}

impl Address {
    /// Its parts in one word beside the id, for an atomic cell.
    pub fn pack(self) -> u32 {
        match self.naming {
            Naming::Off => 0,
            Naming::Flat(logical) => 0x100 | u32::from(logical),
            Naming::Cluster(logical) => 0x200 | u32::from(logical),
            Naming::X2Apic => 0x300,
        }
    }

    /// The address with that id of which [`Address::pack`] gave `word`.
    pub fn unpack(id: u32, word: u32) -> Self {
        let logical = word as u8;
        let naming = match word >> 8 & 3 {
            0 => Naming::Off,
            1 => Naming::Flat(logical),
            2 => Naming::Cluster(logical),
            _ => Naming::X2Apic,
        };
        Self { id, naming }
    }

    /// True if a message with that destination is for this APIC; `from_self` says that this APIC sent it.
    #[inline]
    pub fn matches(self, destination: &Destination, from_self: bool) -> bool {
        if self.naming == Naming::Off {
            return false;
        }
        match *destination {
            Destination::Myself => from_self,
            Destination::All => true,
            Destination::Others => !from_self,
            Destination::Field { value, mode } => match mode {
                DestinationMode::Physical => self.matches_physical(value),
                DestinationMode::Logical => self.matches_logical(value),
            },
        }
    }

    /// The messages of I/O APICs and of xAPIC senders carry eight bits, so FFh is broadcast whatever our own mode is; no CPU has id 255.
    fn matches_physical(self, value: u32) -> bool {
        value == self.id || value == 0xff || value == u32::MAX
    }

    /// Flat, cluster or x2APIC (11.6.2.2, 11.12.10.2).
    fn matches_logical(self, value: u32) -> bool {
        match self.naming {
            Naming::Off => false,
            Naming::X2Apic => {
                let own = logical_x2apic(self.id);
                value == u32::MAX || value >> 16 == own >> 16 && value & own & 0xffff != 0
            }
            Naming::Flat(own) => value & 0xff == 0xff || value as u8 & own != 0,
            Naming::Cluster(own) => {
                let value = value as u8;
                value == 0xff || value >> 4 == own >> 4 && value & own & 0xf != 0
            }
        }
    }
}

/// Cluster in the high half, a bit in the low one.
pub(super) fn logical_x2apic(id: u32) -> u32 {
    (id & 0xf_fff0) << 12 | 1 << (id & 0xf)
}

impl Lapic {
    /// How messages find it now.
    #[inline]
    pub fn address(&self) -> Address {
        let logical = (self.logical >> 24) as u8;
        let naming = if !self.enabled() {
            Naming::Off
        } else if self.x2apic() {
            Naming::X2Apic
        } else if self.format & DFR_MODEL == DFR_MODEL {
            Naming::Flat(logical)
        } else {
            Naming::Cluster(logical)
        };
        Address {
            id: self.id,
            naming,
        }
    }

    /// True if a message with that destination is for this APIC; `from_self` says that this APIC sent it.
    #[inline]
    pub fn matches(&self, destination: &Destination, from_self: bool) -> bool {
        self.address().matches(destination, from_self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_atomic_cell() {
        for naming in [
            Naming::Off,
            Naming::Flat(0x5a),
            Naming::Cluster(0x31),
            Naming::X2Apic,
        ] {
            let address = Address { id: 33, naming };
            assert_eq!(Address::unpack(33, address.pack()), address);
        }
    }

    #[test]
    fn logical_x2apic_ids_name_cluster_and_bit() {
        let address = Address {
            id: 0x23,
            naming: Naming::X2Apic,
        };
        let logical = |value| Destination::Field {
            value,
            mode: DestinationMode::Logical,
        };
        assert!(address.matches(&logical(0x0002_0008), false));
        assert!(!address.matches(&logical(0x0002_0004), false));
        assert!(!address.matches(&logical(0x0001_0008), false));
    }
}
