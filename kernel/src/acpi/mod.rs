//! What the firmware says of the machine. (ACPI 6.5.)
//!
//! Tables are allegations: one that is missing, cut or senseless costs what it would have told, never the machine. AML is
//! not touched at boot, only when the machine is to be switched off (see [`crate::power`]).

pub mod aml;
pub mod fadt;
pub mod handler;
pub mod madt;
pub mod rsdp;
pub mod sleep;
pub mod tables;

use boot::BootInfo;
use fadt::Fadt;
use guest_mem::Hpa;
use heapless::Vec;
use madt::Madt;
use spin::Once;

/// How many PCI segments with memory-mapped configuration are kept.
pub const MAX_ECAMS: usize = 16;

/// A range of PCI buses whose configuration space is memory. (PCI Firmware Specification 3.3, 4.1.2.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// Address of bus 0, device 0, function 0 of the segment, even where `first_bus` is not 0.
    pub base: Hpa,
    /// PCI segment.
    pub segment: u16,
    /// First bus of the range.
    pub first_bus: u8,
    /// Last bus of the range.
    pub last_bus: u8,
}

/// An IOMMU's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iommu {
    /// VT-d (DMAR table).
    Intel,
    /// AMD-Vi (IVRS table).
    Amd,
}

/// The tables that matter, understood.
#[derive(Clone, Debug, Default)]
pub struct Platform {
    /// CPUs and interrupt controllers; empty if there is no MADT.
    pub madt: Madt,
    /// Power and the PM timer.
    pub fadt: Option<Fadt>,
    /// The HPET's registers.
    pub hpet: Option<Hpa>,
    /// Memory-mapped PCI configuration.
    pub ecams: Vec<Ecam, MAX_ECAMS>,
    /// The IOMMU that the firmware describes.
    pub iommu: Option<Iommu>,
}

static PLATFORM: Once<Platform> = Once::new();

/// Reads the tables. Once, on the boot CPU, after memory and before interrupt controllers and time.
pub(crate) fn init(boot: &BootInfo) -> &'static Platform {
    PLATFORM.call_once(|| {
        tables::init(boot.rsdp);
        understand()
    })
}

/// What [`init`] found; `None` before it ran.
pub fn platform() -> Option<&'static Platform> {
    PLATFORM.get()
}

/// A table's bytes, header included, by its signature; the first if there are several.
pub fn table(signature: &[u8; 4]) -> Option<&'static [u8]> {
    tables::all().find(|table| table.starts_with(signature))
}

fn understand() -> Platform {
    let mut platform = Platform::default();
    for table in tables::all() {
        match table.first_chunk() {
            Some(b"APIC") => platform.madt = Madt::parse(table),
            Some(b"FACP") => platform.fadt = Some(Fadt::parse(table)),
            Some(b"HPET") => platform.hpet = hpet(table),
            Some(b"MCFG") => platform.ecams = ecams(table),
            Some(b"DMAR") => platform.iommu = Some(Iommu::Intel),
            Some(b"IVRS") => platform.iommu = Some(Iommu::Amd),
            _ => {}
        }
    }
    platform
}

/// The first HPET's registers, if they are memory. (IA-PC HPET 1.0a, 3.2.4.)
fn hpet(table: &[u8]) -> Option<Hpa> {
    const SYSTEM_MEMORY: u8 = 0;
    let address = table.get(40..52)?;
    let base = u64::from_le_bytes(*address.get(4..)?.first_chunk()?);
    (address[0] == SYSTEM_MEMORY && base != 0).then_some(Hpa(base))
}

fn ecams(table: &[u8]) -> Vec<Ecam, MAX_ECAMS> {
    const HEADER_BYTES: usize = 44;
    let (entries, _) = table
        .get(HEADER_BYTES..)
        .unwrap_or_default()
        .as_chunks::<16>();
    entries
        .iter()
        .map(|entry| Ecam {
            base: Hpa(u64::from_le_bytes(
                *entry.first_chunk().expect("16 bytes hold 8"),
            )),
            segment: u16::from_le_bytes([entry[8], entry[9]]),
            first_bus: entry[10],
            last_bus: entry[11],
        })
        .take(MAX_ECAMS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hpet_in_port_space_is_none() {
        let mut table = [0; 56];
        table[44..48].copy_from_slice(&0xfed0_0000_u32.to_le_bytes());
        assert_eq!(hpet(&table), Some(Hpa(0xfed0_0000)));
        table[40] = 1;
        assert_eq!(hpet(&table), None);
        assert_eq!(hpet(&table[..50]), None);
    }

    #[test]
    fn a_cut_ecam_entry_is_left_out() {
        let mut table = [0; 44 + 16 + 15];
        table[44..52].copy_from_slice(&0xb000_0000_u64.to_le_bytes());
        table[55] = 0xff;
        let expected = Ecam {
            base: Hpa(0xb000_0000),
            segment: 0,
            first_bus: 0,
            last_bus: 0xff,
        };
        assert_eq!(ecams(&table), [expected]);
        assert!(ecams(&table[..10]).is_empty());
    }
}
