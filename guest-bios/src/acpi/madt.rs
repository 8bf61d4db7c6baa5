//! The interrupt controllers (ACPI 6.5, 5.2.12).

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes_of};
use crate::platform::{IO_APIC, LOCAL_APIC, Platform};
use acpi_tables::madt::{
    EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic,
};
use acpi_tables::{Aml, AmlSink};
use alloc::vec::Vec;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// 8-bit APIC IDs without the broadcast one, FFh, and one for the I/O APIC.
const MAX_VCPUS: u32 = 254;

/// PCAT_COMPAT (5.2.12, table 5.20): there are 8259s too.
const PCAT_COMPAT: u8 = 1 << 0;
const FLAGS: usize = 40;
const CHECKSUM: usize = 9;

// MPS INTI flags (5.2.12.5, table 5.26): polarity in bits 0-1, trigger mode in bits 2-3.
const AS_THE_BUS: u16 = 0;
const LEVEL_HIGH: u16 = 0b1101;

/// An interrupt that is not wired as ISA has it.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct SourceOverride {
    kind: u8,
    length: u8,
    bus: u8,
    source: u8,
    gsi: U32,
    flags: U16,
}

impl SourceOverride {
    fn new(source: u8, gsi: u8, flags: u16) -> Self {
        Self {
            kind: 2,
            length: size_of::<Self>() as u8,
            bus: 0,
            source,
            gsi: u32::from(gsi).into(),
            flags: flags.into(),
        }
    }
}

/// The local APIC pin that is wired to NMI: LINT1 of every CPU.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct LocalNmi {
    kind: u8,
    length: u8,
    processor: u8,
    flags: U16,
    pin: u8,
}

impl LocalNmi {
    const EVERY_CPU: Self = Self {
        kind: 4,
        length: size_of::<Self>() as u8,
        processor: 0xff,
        flags: U16::ZERO,
        pin: 1,
    };
}

impl Aml for SourceOverride {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(self.as_bytes());
    }
}

impl Aml for LocalNmi {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(self.as_bytes());
    }
}

/// As QEMU's `pc` has it: the timer is on pin 2; the interrupts that PCI devices and the SCI use are level-triggered and
/// active high, on IRQ 5 too, although nothing is routed there.
pub fn table(platform: &Platform) -> Vec<u8> {
    let local_apic = LocalInterruptController::Address(LOCAL_APIC.0 as u32);
    let mut madt = MADT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION, local_apic);
    for id in 0..platform.vcpus.min(MAX_VCPUS) as u8 {
        madt.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(0, IO_APIC.0 as u32, 0));
    madt.add_structure(SourceOverride::new(0, 2, AS_THE_BUS));
    for irq in [5, 9, 10, 11] {
        madt.add_structure(SourceOverride::new(irq, irq, LEVEL_HIGH));
    }
    madt.add_structure(LocalNmi::EVERY_CPU);
    let mut table = bytes_of(&madt);
    // The crate leaves the flags zero; one bit more is one less in the checksum.
    table[FLAGS] |= PCAT_COMPAT;
    table[CHECKSUM] = table[CHECKSUM].wrapping_sub(PCAT_COMPAT);
    table
}
