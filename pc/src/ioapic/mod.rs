//! The I/O APIC, an 82093AA with 24 pins (Intel 82093AA data sheet, order 290566).
//!
//! [`IoApic`] guarantees: an edge on an unmasked pin sends one message, an edge on a masked one is lost; a level sends one
//! message and no second before the end of the first; whatever is still asserted then sends again. Pins carry "asserted"
//! or not: the polarity bit is stored but changes nothing, for the board drives each pin in the polarity that firmware
//! tells the guest. Delivery is at once, so the delivery status bit always reads idle.

mod bits;
#[cfg(test)]
mod tests;

use crate::saved;
use alloc::vec::Vec;
use bits::*;
use hvm::Width;
use hvm::apic::{ApicMessage, Delivery, Destination, DestinationMode, Trigger};
use hvm::device::{Lifecycle, RestoreError, Signals};
use serde::{Deserialize, Serialize};

/// Pins.
pub const PINS: u8 = 24;
/// Bytes of address space that the chip decodes.
pub const WINDOW_BYTES: u64 = 0x1000;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// An I/O APIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoApic {
    select: u8,
    id: u32,
    entries: [u64; PINS as usize],
    /// Which pins are asserted.
    lines: u32,
}

impl Default for IoApic {
    fn default() -> Self {
        Self::new()
    }
}

impl IoApic {
    /// As after reset: all masked.
    pub fn new() -> Self {
        Self {
            select: 0,
            id: 0,
            entries: [MASKED; PINS as usize],
            lines: 0,
        }
    }

    /// True if an edge on `pin` would be sent.
    pub fn passes(&self, pin: u8) -> bool {
        self.entries
            .get(usize::from(pin))
            .is_some_and(|entry| entry & MASKED == 0)
    }

    /// Moves an input pin.
    #[inline]
    pub fn set_line(&mut self, pin: u8, asserted: bool, signals: &mut dyn Signals) {
        if pin >= PINS {
            return;
        }
        let bit = 1 << pin;
        let rose = asserted && self.lines & bit == 0;
        if asserted {
            self.lines |= bit;
        } else {
            self.lines &= !bit;
        }
        let entry = self.entries[usize::from(pin)];
        if entry & LEVEL != 0 {
            self.service_level(pin, signals);
        } else if rose && entry & MASKED == 0 {
            send(entry, signals);
        }
    }

    /// A local APIC ended `vector` (data sheet, 3.2.4, remote IRR).
    pub fn end_of_interrupt(&mut self, vector: u8, signals: &mut dyn Signals) {
        for pin in 0..PINS {
            let entry = &mut self.entries[usize::from(pin)];
            if *entry as u8 == vector && *entry & (LEVEL | REMOTE_IRR) == LEVEL | REMOTE_IRR {
                *entry &= !REMOTE_IRR;
                self.service_level(pin, signals);
            }
        }
    }

    /// Reads the memory window. Registers are dwords; parts and gaps read 0.
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        let value = match offset & (WINDOW_BYTES - 1) {
            SELECT => u32::from(self.select),
            WINDOW => self.read_register(),
            _ => 0,
        };
        width.cut(u64::from(value))
    }

    /// Writes the memory window. The select register takes a byte too, the data window only dwords.
    pub fn write(&mut self, offset: u64, width: Width, value: u64, signals: &mut dyn Signals) {
        match offset & (WINDOW_BYTES - 1) {
            SELECT => self.select = value as u8,
            WINDOW if width >= Width::Dword => self.write_register(value as u32, signals),
            _ => {}
        }
    }

    fn read_register(&self) -> u32 {
        match self.select {
            ID | ARBITRATION => self.id,
            VERSION => VERSION_VALUE,
            select => match self.selected_entry(select) {
                Some((pin, shift)) => (self.entries[pin] >> shift) as u32,
                None => 0,
            },
        }
    }

    fn write_register(&mut self, value: u32, signals: &mut dyn Signals) {
        if self.select == ID {
            self.id = value & ID_FIELD;
        }
        let Some((pin, shift)) = self.selected_entry(self.select) else {
            return;
        };
        let written = (0xffff_ffff << shift) & WRITABLE;
        let entry = &mut self.entries[pin];
        *entry = *entry & !written | u64::from(value) << shift & written;
        if *entry & LEVEL == 0 {
            // Remote IRR means nothing for edges; software relies on this to end a stuck level.
            *entry &= !REMOTE_IRR;
        }
        self.service_level(pin as u8, signals);
    }

    /// Which half of which entry register `select` is: the pin and the bit offset.
    fn selected_entry(&self, select: u8) -> Option<(usize, u32)> {
        let index = select.checked_sub(REDIRECTION)?;
        (index < 2 * PINS).then(|| (usize::from(index / 2), u32::from(index % 2) * 32))
    }

    /// Sends a level-triggered pin's message if it is due.
    fn service_level(&mut self, pin: u8, signals: &mut dyn Signals) {
        let entry = &mut self.entries[usize::from(pin)];
        let due = *entry & (LEVEL | REMOTE_IRR | MASKED) == LEVEL && self.lines & 1 << pin != 0;
        // Only vectors are ended by an EOI; other deliveries count as edges (data sheet, "Redirection table", delivery mode).
        if due && send(*entry, signals) == Sent::Vector {
            *entry |= REMOTE_IRR;
        }
    }
}

/// What became of a message.
#[derive(PartialEq, Eq)]
enum Sent {
    Vector,
    Other,
}

fn send(entry: u64, signals: &mut dyn Signals) -> Sent {
    let delivery = match entry >> DELIVERY_SHIFT & 7 {
        0 => Delivery::Fixed,
        1 => Delivery::LowestPriority,
        2 => Delivery::Smi,
        4 => Delivery::Nmi,
        5 => Delivery::Init,
        7 => Delivery::ExtInt,
        _ => return Sent::Other,
    };
    let vector = matches!(delivery, Delivery::Fixed | Delivery::LowestPriority);
    signals.interrupt(ApicMessage {
        destination: Destination::Field {
            value: (entry >> DESTINATION_SHIFT) as u32,
            mode: if entry & LOGICAL != 0 {
                DestinationMode::Logical
            } else {
                DestinationMode::Physical
            },
        },
        delivery,
        vector: entry as u8,
        trigger: if vector && entry & LEVEL != 0 {
            Trigger::Level
        } else {
            Trigger::Edge
        },
    });
    if vector { Sent::Vector } else { Sent::Other }
}

impl Lifecycle for IoApic {
    fn kind(&self) -> &'static str {
        "ioapic"
    }

    /// The pins are the board's and stay.
    fn reset(&mut self) {
        *self = Self {
            lines: self.lines,
            ..Self::new()
        };
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, self)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        *self = saved::read(self.kind(), SAVED_VERSION, saved)?;
        Ok(())
    }
}
