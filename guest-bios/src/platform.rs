//! The emulated PC as the guest's tables describe it: an i440FX with a PIIX3/PIIX4 south bridge, wired as in QEMU's
//! `pc` machine, because that is the one that guests are tried on.
//!
//! The crate `pc` builds the devices at these places; a change here is a change there.

use guest_mem::Gpa;

/// What varies between guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Virtual CPUs; their local APIC IDs are 0 to `vcpus - 1`.
    pub vcpus: u32,
    /// Base address of the HPET, if the guest has one.
    pub hpet: Option<Gpa>,
    /// What a person sees and types on.
    pub console: Console,
    /// Where the PCI memory window starts, up to [`PCI_MMIO_END`]: what firmware gives to base address registers lies in it.
    pub pci_memory: Gpa,
}

/// The means of a person in front of the PC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// A serial line alone.
    Serial,
    /// A VGA, and a keyboard and a mouse on a keyboard controller.
    Screen,
}

/// First address above low RAM at most: devices live from here to 4 GiB.
pub const DEVICE_HOLE: Gpa = Gpa(0xc000_0000);
/// Where Monovisor's own BIOS starts with base address registers.
pub const PCI_MMIO: Gpa = DEVICE_HOLE;
/// One past the PCI memory window: the I/O APIC's page follows.
pub const PCI_MMIO_END: Gpa = IO_APIC;
/// The I/O APIC (ID 0, GSIs 0 to 23).
pub const IO_APIC: Gpa = Gpa(0xfec0_0000);
/// Every CPU's local APIC.
pub const LOCAL_APIC: Gpa = Gpa(0xfee0_0000);
/// Legacy video memory: a hole in RAM up to [`VGA_END`].
pub const VGA: Gpa = Gpa(0xa_0000);
/// One past legacy video memory; RAM that shadows the ROMs follows.
pub const VGA_END: Gpa = Gpa(0xc_0000);
/// Extended BIOS data area, up to 640 KiB.
pub const EBDA: Gpa = Gpa(0x9_fc00);
/// The firmware's own segments E and F, up to [`HIGH_MEMORY`]. The ACPI tables are in the first.
pub const FIRMWARE: Gpa = Gpa(0xe_0000);
/// RAM above 1 MiB starts here.
pub const HIGH_MEMORY: Gpa = Gpa(0x10_0000);
/// RAM that did not fit below [`DEVICE_HOLE`] continues here.
pub const ABOVE_4G: Gpa = Gpa(0x1_0000_0000);

/// First port of the ACPI PM block (PIIX4 PMBASE, as SeaBIOS sets it): PM1a events at +0, PM1a control at +4, timer at +8.
pub const PM_PORT: u16 = 0x600;
/// Reset control register; writing 6 resets the machine.
pub const RESET_PORT: u16 = 0xcf9;
/// ISA interrupt of ACPI events (SCI), level-triggered, active high.
pub const SCI_IRQ: u8 = 9;
/// First port of COM1, on [`COM1_IRQ`].
pub const COM1_PORT: u16 = 0x3f8;
/// COM1's ISA interrupt.
pub const COM1_IRQ: u8 = 4;
/// Slots on PCI bus 0.
pub const PCI_SLOTS: u8 = 32;

/// ISA interrupts that PCI's PIRQ A to D are routed to, on the PICs and on the I/O APIC alike: level-triggered, active
/// high at the I/O APIC. The values are SeaBIOS's for QEMU's `pc`.
pub const PIRQ_IRQ: [u8; 4] = [10, 10, 11, 11];

/// Which of [`PIRQ_IRQ`] the interrupt pin of a device in a slot of bus 0 drives; pin 0 is INTA. Slots rotate the pins, so
/// that neighbours, which mostly use INTA alone, do not all share one line; INTA of slot 1 drives the first.
pub const fn pirq(slot: u8, pin: u8) -> usize {
    (slot as usize + pin as usize + 3) % 4
}

/// The ISA interrupt, equally the GSI, of a pin of a device in a slot of bus 0.
pub const fn pci_irq(slot: u8, pin: u8) -> u8 {
    PIRQ_IRQ[pirq(slot, pin)]
}
