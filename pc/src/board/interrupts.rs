//! The interrupt wiring: each ISA interrupt goes to its 8259 pin and to the I/O APIC pin of the same number, the timer's to pin
//! 2 instead of 0; lines above the ISA interrupts are pins of the I/O APIC alone. Several sources of one line are ORed.

use crate::ioapic::IoApic;
use crate::pic::{Pair, Register};
use core::ops::Range;
use hvm::device::Signals;

/// Lines: the ISA interrupts, then those that only the I/O APIC has.
pub(super) const LINES: u8 = 24;
/// Pins of the I/O APIC that have no ISA interrupt and that nothing else drives.
pub(super) const SPARE_PINS: Range<u8> = 20..24;
/// Interrupt numbers that the board fixes.
pub(super) const TIMER_IRQ: u8 = 0;
pub(super) const KEYBOARD_IRQ: u8 = 1;
pub(super) const COM2_IRQ: u8 = 3;
pub(super) const COM1_IRQ: u8 = 4;
pub(super) const FLOPPY_IRQ: u8 = 6;
pub(super) const RTC_IRQ: u8 = 8;
pub(super) const SCI_IRQ: u8 = 9;
pub(super) const PRIMARY_IDE_IRQ: u8 = 14;
pub(super) const SECONDARY_IDE_IRQ: u8 = 15;
pub(super) const MOUSE_IRQ: u8 = 12;
/// The I/O APIC pin that the timer is wired to.
const TIMER_PIN: u8 = 2;
/// ELCR as firmware sets it: the lines of SCI and PCI, 9 to 11, are levels.
const FIRMWARE_ELCR: u8 = 0b1110;

/// Something that drives a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The device that has the line to itself, or SCI.
    Isa,
    /// PIRQ 0…3.
    Pirq(u8),
    /// HPET timer 0…2.
    Timer(u8),
}

impl Source {
    fn bit(self) -> u8 {
        match self {
            Self::Isa => 1,
            Self::Pirq(pirq) => 2 << (pirq & 3),
            Self::Timer(timer) => 0x20 << (timer % 3),
        }
    }
}

/// Both interrupt controllers and the lines to them.
pub(super) struct Interrupts {
    pub(super) pic: Pair,
    pub(super) ioapic: IoApic,
    /// For each line, the sources that assert it.
    sources: [u8; LINES as usize],
}

impl Interrupts {
    pub(super) fn new() -> Self {
        let mut interrupts = Self {
            pic: Pair::new(),
            ioapic: IoApic::new(),
            sources: [0; LINES as usize],
        };
        interrupts.set_firmware_elcr();
        interrupts
    }

    /// Sets a source's level.
    #[inline]
    pub(super) fn drive(&mut self, irq: u8, source: Source, high: bool, signals: &mut dyn Signals) {
        let Some(sources) = self.sources.get_mut(usize::from(irq)) else {
            return;
        };
        let before = *sources;
        if high {
            *sources |= source.bit();
        } else {
            *sources &= !source.bit();
        }
        let level = *sources != 0;
        if level != (before != 0) {
            self.pic.set_line(irq, level);
            self.ioapic.set_line(pin(irq), level, signals);
        }
    }

    /// True if an edge on the line would get anywhere.
    #[inline]
    pub(super) fn passes(&self, irq: u8) -> bool {
        self.pic.passes(irq) || self.ioapic.passes(pin(irq))
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Who asserts what, for saved state.
    pub(super) fn sources(&self) -> [u8; LINES as usize] {
        self.sources
    }

    /// Takes that back after the chips were restored; they know the levels of their own pins.
    pub(super) fn set_sources(&mut self, sources: [u8; LINES as usize]) {
        self.sources = sources;
    }

    fn set_firmware_elcr(&mut self) {
        self.pic.write(Register::SlaveElcr, FIRMWARE_ELCR);
    }
}

fn pin(irq: u8) -> u8 {
    if irq == TIMER_IRQ { TIMER_PIN } else { irq }
}
