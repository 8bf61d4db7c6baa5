//! The MADT: CPUs and interrupt controllers, from bytes to meaning. (ACPI 6.5, 5.2.12.)
//!
//! Entries that are too short, unknown or out of range are passed over: a strange table costs what it describes, never the
//! machine.

use guest_mem::Hpa;
use heapless::Vec;

/// How many I/O APICs are kept.
pub const MAX_IO_APICS: usize = 16;
/// How many CPUs are kept.
pub const MAX_PROCESSORS: usize = crate::cpu::MAX_CPUS;
const HEADER_BYTES: usize = 44;
const ISA_LINES: usize = 16;

/// What the table says.
#[derive(Clone, Debug, Default)]
pub struct Madt {
    /// Physical address of the local APICs' page.
    pub local_apic: Option<Hpa>,
    /// APIC ids of the CPUs that are enabled, in the table's order, each once.
    pub processors: Vec<u32, MAX_PROCESSORS>,
    /// The I/O APICs.
    pub io_apics: Vec<IoApicEntry, MAX_IO_APICS>,
    /// Where ISA interrupts arrive.
    pub overrides: Overrides,
}

/// One I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApicEntry {
    /// Its registers.
    pub address: Hpa,
    /// System-wide number of its input 0.
    pub first_line: u32,
}

/// Which level of a line means "interrupt".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// High, or the rising edge.
    ActiveHigh,
    /// Low, or the falling edge.
    ActiveLow,
}

/// What of a line means "interrupt".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The change.
    Edge,
    /// The state.
    Level,
}

/// An interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the whole system.
    pub number: u32,
    /// Its polarity.
    pub polarity: Polarity,
    /// Its trigger mode.
    pub trigger: Trigger,
}

impl Line {
    /// A PCI interrupt line: shared, so level-triggered and active low.
    pub const fn pci(number: u32) -> Self {
        Self {
            number,
            polarity: Polarity::ActiveLow,
            trigger: Trigger::Level,
        }
    }

    const fn isa(number: u32) -> Self {
        Self {
            number,
            polarity: Polarity::ActiveHigh,
            trigger: Trigger::Edge,
        }
    }
}

/// Where ISA interrupts arrive, when not at the line of the same number.
#[derive(Clone, Debug, Default)]
pub struct Overrides([Option<Line>; ISA_LINES]);

impl Overrides {
    /// No overrides.
    pub const fn new() -> Self {
        Self([None; ISA_LINES])
    }

    /// The line of an ISA interrupt.
    pub fn of(&self, irq: u8) -> Line {
        self.0
            .get(usize::from(irq))
            .copied()
            .flatten()
            .unwrap_or(Line::isa(u32::from(irq)))
    }
}

impl Madt {
    /// Reads the table's bytes, header included.
    pub fn parse(table: &[u8]) -> Self {
        let mut madt = Self::default();
        if let Some(address) = u32_at(table, 36).filter(|&address| address != 0) {
            madt.local_apic = Some(Hpa(u64::from(address)));
        }
        let mut rest = table.get(HEADER_BYTES..).unwrap_or_default();
        while let [kind, length, ..] = *rest {
            let length = usize::from(length);
            if length < 2 || length > rest.len() {
                break;
            }
            let (entry, later) = rest.split_at(length);
            // An entry that is too short for its kind says nothing.
            let _ = madt.add(kind, entry);
            rest = later;
        }
        madt
    }

    fn add(&mut self, kind: u8, entry: &[u8]) -> Option<()> {
        match kind {
            0 => self.add_processor(u32::from(*entry.get(3)?), u32_at(entry, 4)?),
            1 => {
                let address = Hpa(u64::from(u32_at(entry, 4)?));
                let _ = self.io_apics.push(IoApicEntry {
                    address,
                    first_line: u32_at(entry, 8)?,
                });
            }
            2 => {
                let (bus, irq) = (*entry.get(2)?, *entry.get(3)?);
                let line = decode_line(u32_at(entry, 4)?, u16_at(entry, 8)?);
                if bus == 0 {
                    *self.overrides.0.get_mut(usize::from(irq))? = Some(line);
                }
            }
            5 => self.local_apic = Some(Hpa(u64_at(entry, 4)?)),
            9 => self.add_processor(u32_at(entry, 4)?, u32_at(entry, 8)?),
            _ => {}
        }
        Some(())
    }

    fn add_processor(&mut self, apic_id: u32, flags: u32) {
        const ENABLED: u32 = 1;
        if flags & ENABLED != 0 && !self.processors.contains(&apic_id) {
            let _ = self.processors.push(apic_id);
        }
    }
}

/// The flags of an override: 00 "as the bus has it" is high and edge for ISA, 01 high or edge, 11 low or level.
fn decode_line(number: u32, flags: u16) -> Line {
    Line {
        number,
        polarity: if flags & 0b11 == 0b11 {
            Polarity::ActiveLow
        } else {
            Polarity::ActiveHigh
        },
        trigger: if flags >> 2 & 0b11 == 0b11 {
            Trigger::Level
        } else {
            Trigger::Edge
        },
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    fn table(entries: &[&[u8]]) -> vec::Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[36..40].copy_from_slice(&0xfee0_0000_u32.to_le_bytes());
        bytes.extend(entries.iter().copied().flatten());
        bytes
    }

    #[test]
    fn a_pc_table_is_understood() {
        let madt = Madt::parse(&table(&[
            &[0, 8, 0, 0, 1, 0, 0, 0],
            &[0, 8, 1, 1, 1, 0, 0, 0],
            &[0, 8, 2, 2, 0, 0, 0, 0],
            &[1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0],
            &[2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
            &[2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
            &[2, 10, 0, 10, 20, 0, 0, 0, 0x0f, 0],
            &[9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0],
        ]));
        assert_eq!(madt.local_apic, Some(Hpa(0xfee0_0000)));
        assert_eq!(madt.processors, [0, 1, 256]);
        assert_eq!(
            madt.io_apics,
            [IoApicEntry {
                address: Hpa(0xfec0_0000),
                first_line: 0
            }]
        );
        assert_eq!(madt.overrides.of(0), Line::isa(2));
        assert_eq!(madt.overrides.of(4), Line::isa(4));
        assert_eq!(
            madt.overrides.of(9),
            Line {
                trigger: Trigger::Level,
                ..Line::isa(9)
            }
        );
        assert_eq!(madt.overrides.of(10), Line::pci(20));
    }

    #[test]
    fn a_cpu_listed_in_both_forms_counts_once() {
        let madt = Madt::parse(&table(&[
            &[0, 8, 0, 7, 1, 0, 0, 0],
            &[9, 16, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        ]));
        assert_eq!(madt.processors, [7]);
    }

    #[test]
    fn a_short_entry_says_nothing_and_the_next_is_read() {
        let madt = Madt::parse(&table(&[
            &[0, 3, 0],
            &[1, 4, 0, 0],
            &[0, 8, 0, 5, 1, 0, 0, 0],
        ]));
        assert_eq!(madt.processors, [5]);
        assert!(madt.io_apics.is_empty());
    }

    #[test]
    fn a_zero_length_ends_the_list() {
        assert!(
            Madt::parse(&table(&[&[0, 0], &[0, 8, 0, 5, 1, 0, 0, 0]]))
                .processors
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let madt = Madt::parse(&bytes);
            prop_assert!(madt.processors.len() <= bytes.len() / 8);
        }
    }
}
