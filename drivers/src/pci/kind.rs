//! What a function is, from its class code.

use super::bits::class;
use core::fmt;

/// A class code (PCI Code and ID Assignment Specification 1.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Base class.
    pub base: u8,
    /// Subclass.
    pub sub: u8,
    /// Programming interface.
    pub interface: u8,
}

/// What matters to a hypervisor of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network controller.
    Network,
    /// A storage controller.
    Storage,
    /// A display controller.
    Display,
    /// Anything else.
    Other,
}

impl Class {
    /// Its kind.
    pub fn kind(self) -> Kind {
        match self.base {
            class::NETWORK => Kind::Network,
            class::STORAGE => Kind::Storage,
            class::DISPLAY => Kind::Display,
            _ => Kind::Other,
        }
    }

    /// A name, for those kinds that the capability report shows.
    fn name(self) -> Option<&'static str> {
        Some(match (self.base, self.sub, self.interface) {
            (class::NETWORK, 0x00, _) => "Ethernet",
            (class::NETWORK, ..) => "network",
            (class::STORAGE, 0x00, _) => "SCSI",
            (class::STORAGE, 0x01, _) => "IDE",
            (class::STORAGE, 0x02, _) => "floppy",
            (class::STORAGE, 0x04, _) => "RAID",
            (class::STORAGE, 0x05, _) => "ATA",
            (class::STORAGE, 0x06, 0x01) => "AHCI",
            (class::STORAGE, 0x06, _) => "SATA",
            (class::STORAGE, 0x07, _) => "SAS",
            (class::STORAGE, 0x08, 0x02) => "NVMe",
            (class::STORAGE, ..) => "storage",
            (class::DISPLAY, 0x00, _) => "VGA",
            (class::DISPLAY, ..) => "display",
            _ => return None,
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => out.write_str(name),
            None => write!(
                out,
                "class {:02x}{:02x}{:02x}",
                self.base, self.sub, self.interface
            ),
        }
    }
}
