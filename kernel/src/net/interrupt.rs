//! How the card gets our attention.

use super::WORK;
use super::window::Mapped;
use crate::acpi::madt::{Line, Trigger};
use crate::apic::{io, vector};
use crate::cpu::percpu;
use crate::service::executor::SERVICE_CPU;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use drivers::pci::ConfigWrite;
use drivers::pci::setup::{Setup, Signalling};
use drivers::window::Window;

/// Turns in a row that a shared line may bring about without the card having had anything: then it is left masked.
const IDLE_TURNS: u32 = 1000;

/// Interrupts that came.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// The line in use.
static LINE: AtomicU32 = AtomicU32::new(0);

/// The way that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Message,
    /// Its number in the whole system.
    Line(u32),
    Polled,
}

/// The card's interrupt.
pub struct Interrupt {
    way: Way,
    idle_turns: u32,
}

/// Whether the card has to be looked at without an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// No.
    Full,
    /// No interrupt has come yet: from time to time.
    Unproven,
    /// There are none.
    None,
}

impl Interrupt {
    /// Sends the interrupts of the function to the service CPU: as messages, or by its line. `table` is its table of messages, if its driver
    /// has it send the first of them.
    pub fn route(
        function: &mut Setup<'_, impl ConfigWrite>,
        table: Option<Mapped>,
    ) -> (Self, Signalling) {
        let polled = || {
            let interrupt = Self {
                way: Way::Polled,
                idle_turns: 0,
            };
            (interrupt, Signalling::Nothing)
        };
        let Some(apic_id) = percpu::get(SERVICE_CPU).map(|cpu| cpu.apic_id()) else {
            return polled();
        };
        let Some(vector) = vector::register(came) else {
            return polled();
        };
        // SDM vol. 3, 11.11.1: the destination, and physical destination mode; a fixed interrupt at an edge is the bare vector.
        let address = 0xfee0_0000 | apic_id << 12;
        let by_message = apic_id < 256
            && match table {
                Some(table) => {
                    send_first(table, address, vector.into());
                    function.send_table();
                    true
                }
                None => function.message(address, vector.into()),
            };
        if by_message {
            let interrupt = Self {
                way: Way::Message,
                idle_turns: 0,
            };
            return (interrupt, Signalling::Message);
        }
        vector::unregister(vector);
        let Some(number) = function.line().filter(|number| *number < 16) else {
            return polled();
        };
        let Some(vector) = vector::register(came_by_line) else {
            return polled();
        };
        let line = Line {
            trigger: Trigger::Level,
            ..io::isa_line(number)
        };
        LINE.store(line.number, Ordering::Relaxed);
        if io::route(line, apic_id, vector).is_err() {
            vector::unregister(vector);
            return polled();
        }
        let interrupt = Self {
            way: Way::Line(line.number),
            idle_turns: 0,
        };
        (interrupt, Signalling::Line(number))
    }

    /// Lets the line speak again, after a turn. One that others keep busy is given up.
    pub fn settle(&mut self, found: Found) {
        let Way::Line(line) = self.way else {
            return;
        };
        self.idle_turns = match found {
            Found::Something => 0,
            Found::Nothing => self.idle_turns + 1,
        };
        if self.idle_turns > IDLE_TURNS {
            crate::warn!(
                "network: interrupt line {line} does not fall silent; the card is polled instead"
            );
            self.way = Way::Polled;
            // It was there a moment ago; masked it stays.
            let _ = io::mask(line);
            return;
        }
        // As above.
        let _ = io::unmask(line);
    }

    /// What a look without an interrupt has found; frames, and there has never been an interrupt.
    pub fn missed(&mut self) {
        if self.trust() == Trust::Unproven {
            crate::warn!("network: frames came without an interrupt; the card is polled instead");
            if let Way::Line(line) = self.way {
                let _ = io::mask(line);
            }
            self.way = Way::Polled;
        }
    }

    /// Whether it can be relied on.
    pub fn trust(&self) -> Trust {
        match self.way {
            Way::Polled => Trust::None,
            _ if COUNT.load(Ordering::Relaxed) == 0 => Trust::Unproven,
            _ => Trust::Full,
        }
    }
}

/// Fills the first entry of a table of messages and unmasks it (PCI 3.0, 6.8.2.6 to 6.8.2.9).
fn send_first(mut table: Mapped, address: u32, data: u32) {
    table.write_u64(0, address.into());
    table.write_u32(8, data);
    table.write_u32(12, 0);
}

/// Whether a turn had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It had.
    Something,
    /// It had not.
    Nothing,
}

/// How many interrupts have come.
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

fn came(_: u8) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    WORK.raise();
}

/// The line stays active until the card was seen to, so it is masked first.
fn came_by_line(vector: u8) {
    // It was there when it was routed.
    let _ = io::mask(LINE.load(Ordering::Relaxed));
    came(vector);
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.way.fmt(f)
    }
}
