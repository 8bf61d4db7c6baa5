//! The I/O APICs: which vector of which CPU each interrupt line reaches.

use super::bits::{
    IO_REDIRECTION, IO_SELECT, IO_VERSION, IO_WINDOW, REDIRECTION_ACTIVE_LOW, REDIRECTION_LEVEL,
    REDIRECTION_MASKED,
};
use crate::acpi::madt::{Line, MAX_IO_APICS, Madt, Overrides, Polarity, Trigger};
use crate::cpu::interrupts;
use crate::mem::map_mmio;
use crate::warn;
use core::fmt;
use heapless::Vec;
use spin::Mutex;

struct IoApic {
    registers: *mut u32,
    first_line: u32,
    lines: u32,
}

// SAFETY: the registers belong to whoever holds the lock around the list.
unsafe impl Send for IoApic {}

static ALL: Mutex<(Vec<IoApic, MAX_IO_APICS>, Overrides)> =
    Mutex::new((Vec::new(), Overrides::new()));

/// No I/O APIC has this line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchLine(pub u32);

impl fmt::Display for NoSuchLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "no I/O APIC of this machine has interrupt line {} (ACPI MADT)",
            self.0
        )
    }
}

impl IoApic {
    fn read(&self, register: u32) -> u32 {
        // SAFETY: the page is mapped for good, uncached, and the list is locked.
        unsafe {
            self.registers.byte_add(IO_SELECT).write_volatile(register);
            self.registers.byte_add(IO_WINDOW).read_volatile()
        }
    }

    fn write(&self, register: u32, value: u32) {
        // SAFETY: as for `read`.
        unsafe {
            self.registers.byte_add(IO_SELECT).write_volatile(register);
            self.registers.byte_add(IO_WINDOW).write_volatile(value);
        }
    }

    fn set(&self, input: u32, apic_id: u32, low: u32) {
        let entry = IO_REDIRECTION + 2 * input;
        // Masked first: a half-written entry must not fire.
        self.write(entry, REDIRECTION_MASKED);
        self.write(entry + 1, apic_id << 24);
        self.write(entry, low);
    }

    /// Masks or unmasks, and leaves the rest as it is: an interrupt that is being served ends by the entry's vector, and a line's
    /// level is followed only while the entry is level-triggered.
    fn set_mask(&self, input: u32, mask: u32) {
        let entry = IO_REDIRECTION + 2 * input;
        let low = self.read(entry) & !REDIRECTION_MASKED;
        self.write(entry, low | mask);
    }
}

/// Maps all I/O APICs and masks all their inputs.
pub(super) fn init(madt: &Madt) {
    let mut all = ALL.lock();
    all.1 = madt.overrides.clone();
    for found in &madt.io_apics {
        let Some(page) = map_mmio(found.address, 0x20) else {
            warn!(
                "I/O APIC at {:#x}: cannot be mapped; its interrupts are lost",
                found.address
            );
            continue;
        };
        let mut io_apic = IoApic {
            registers: page.cast(),
            first_line: found.first_line,
            lines: 0,
        };
        io_apic.lines = (io_apic.read(IO_VERSION) >> 16 & 0xff) + 1;
        for input in 0..io_apic.lines {
            io_apic.write(IO_REDIRECTION + 2 * input, REDIRECTION_MASKED);
        }
        // The MADT keeps no more than fit here.
        let _ = all.0.push(io_apic);
    }
}

/// Sends an ISA interrupt (0-15) to `vector` on the CPU with this APIC id (below 256), after the MADT's overrides.
pub fn route_isa(irq: u8, apic_id: u32, vector: u8) -> Result<(), NoSuchLine> {
    let line = isa_line(irq);
    route(line, apic_id, vector)
}

/// The line of an ISA interrupt (0-15), after the MADT's overrides.
pub fn isa_line(irq: u8) -> Line {
    interrupts::without(|| ALL.lock().1.of(irq))
}

/// As [`route_isa`], for a line by its number in the whole system.
pub fn route(line: Line, apic_id: u32, vector: u8) -> Result<(), NoSuchLine> {
    let mut low = u32::from(vector);
    low |= if line.polarity == Polarity::ActiveLow {
        REDIRECTION_ACTIVE_LOW
    } else {
        0
    };
    low |= if line.trigger == Trigger::Level {
        REDIRECTION_LEVEL
    } else {
        0
    };
    at(line.number, |io_apic, input| {
        io_apic.set(input, apic_id, low)
    })
}

/// Masks the line of an ISA interrupt.
pub fn mask_isa(irq: u8) -> Result<(), NoSuchLine> {
    let line = isa_line(irq);
    mask(line.number)
}

/// Masks a line.
pub fn mask(number: u32) -> Result<(), NoSuchLine> {
    at(number, |io_apic, input| {
        io_apic.set_mask(input, REDIRECTION_MASKED);
    })
}

/// Lets a line speak again.
pub fn unmask(number: u32) -> Result<(), NoSuchLine> {
    at(number, |io_apic, input| io_apic.set_mask(input, 0))
}

fn at(number: u32, work: impl FnOnce(&IoApic, u32)) -> Result<(), NoSuchLine> {
    interrupts::without(|| {
        let all = ALL.lock();
        let io_apic = all
            .0
            .iter()
            .find(|it| number.wrapping_sub(it.first_line) < it.lines)
            .ok_or(NoSuchLine(number))?;
        work(io_apic, number - io_apic.first_line);
        Ok(())
    })
}
