//! A network card, driven as a boot ROM drives it: through its ports, with rings in the guest's memory.
//!
//! So what the card does, and whose it is, is told by its registers and by nothing else: an operating system's driver resets the
//! card, and the firmware is out of it. The rings lie in memory that the memory map keeps from the system, so a card that is
//! forgotten there with its receiver on writes over nothing of the system's.

mod rtl8139;
mod virtio;

use super::super::call::Call;
use super::super::layout::Layout;
use super::super::pci::{self, Function};
use alloc::vec::Vec;
use guest_mem::Gpa;
use hvm::Width;
use hvm::backend::Link;
use rtl8139::Rtl8139;
use serde::{Deserialize, Serialize};
use virtio::Virtio;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A station's address.
pub type Mac = [u8; 6];

/// The longest frame, without its check sequence.
pub const FRAME_BYTES: usize = 1514;
/// Most cards that are booted from.
const MOST: usize = 8;

/// What a card wants interrupts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interrupts {
    /// Frames that came or went.
    Open,
    /// Nothing.
    Masked,
}

bitflags::bitflags! {
    /// Which frames a card takes; the first three as PXE has them (PXE 2.1, PXENV_UNDI_OPEN).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Filter: u8 {
        /// Those for its own address.
        const DIRECTED = 1;
        /// Those for everybody.
        const BROADCAST = 2;
        /// All.
        const PROMISCUOUS = 4;
        /// Those for groups.
        const MULTICAST = 8;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Driver {
    Rtl8139(Rtl8139),
    Virtio(Virtio),
}

/// A card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    driver: Driver,
    /// Slot in bits 7:3, function in 2:0, on bus 0.
    pub slot_function: u8,
    /// The first of its ports.
    pub ports: u16,
    /// Its interrupt line.
    pub irq: u8,
}

impl Card {
    /// The cards that there is a driver for, in the order of their slots; none where there is no memory for rings.
    pub fn find(call: &mut Call<'_>) -> Vec<Self> {
        let mut cards = Vec::new();
        let Some(layout) = Layout::of(call.machine.memory()) else {
            return cards;
        };
        pci::find(call, |call, function| {
            cards.extend(Self::of(call, function, layout.network));
            (cards.len() == MOST).then_some(())
        });
        cards
    }

    fn of(call: &mut Call<'_>, function: Function, rings: Gpa) -> Option<Self> {
        const IO: u32 = 1;
        let bar = function.read(call, pci::BAR0, Width::Dword);
        let ports = (bar & !3) as u16;
        let driver = match function.read(call, pci::VENDOR, Width::Dword) {
            rtl8139::ID => Driver::Rtl8139(Rtl8139::new(ports, rings)),
            virtio::ID => Driver::Virtio(Virtio::new(ports, rings)),
            _ => return None,
        };
        (bar & IO != 0 && ports != 0).then_some(Self {
            driver,
            slot_function: function.slot_function,
            ports,
            irq: function.read(call, pci::INTERRUPT_LINE, Width::Byte) as u8,
        })
    }

    /// Its place on the bus.
    pub const fn function(&self) -> Function {
        Function {
            bus: 0,
            slot_function: self.slot_function,
        }
    }

    /// What people call it.
    pub const fn name(&self) -> &'static str {
        match self.driver {
            Driver::Rtl8139(_) => "RTL8139",
            Driver::Virtio(_) => "virtio",
        }
    }

    /// Resets the card and turns it on, without interrupts. False if it does not come up.
    pub fn open(&mut self, call: &mut Call<'_>) -> bool {
        const DECODE_AND_MASTER: u32 = 7;
        let function = self.function();
        let command = function.read(call, pci::COMMAND, Width::Word);
        function.write(call, pci::COMMAND, Width::Word, command | DECODE_AND_MASTER);
        match &mut self.driver {
            Driver::Rtl8139(card) => card.open(call),
            Driver::Virtio(card) => card.open(call),
        }
    }

    /// Resets the card, which turns it off.
    pub fn close(&mut self, call: &mut Call<'_>) {
        match &mut self.driver {
            Driver::Rtl8139(card) => card.close(call),
            Driver::Virtio(card) => card.close(call),
        }
    }

    /// Its address.
    pub fn address(&self, call: &mut Call<'_>) -> Mac {
        match &self.driver {
            Driver::Rtl8139(card) => card.address(call),
            Driver::Virtio(card) => card.address(call),
        }
    }

    /// Its cable.
    pub fn link(&self, call: &mut Call<'_>) -> Link {
        match &self.driver {
            Driver::Rtl8139(card) => card.link(call),
            Driver::Virtio(card) => card.link(call),
        }
    }

    /// Sends a frame. False if the card has no room now, or the frame is too long.
    pub fn send(&mut self, call: &mut Call<'_>, frame: &[u8]) -> bool {
        if frame.len() > FRAME_BYTES {
            return false;
        }
        match &mut self.driver {
            Driver::Rtl8139(card) => card.send(call, frame),
            Driver::Virtio(card) => card.send(call, frame),
        }
    }

    /// The length of the next frame, which is copied.
    pub fn receive(&mut self, call: &mut Call<'_>, into: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        match &mut self.driver {
            Driver::Rtl8139(card) => card.receive(call, into),
            Driver::Virtio(card) => card.receive(call, into),
        }
    }

    /// Opens or masks its interrupt.
    pub fn set_interrupts(&mut self, call: &mut Call<'_>, interrupts: Interrupts) {
        match &mut self.driver {
            Driver::Rtl8139(card) => card.set_interrupts(call, interrupts),
            Driver::Virtio(card) => card.set_interrupts(call, interrupts),
        }
    }

    /// Whether the card interrupts; it no longer does so.
    pub fn take_interrupt(&mut self, call: &mut Call<'_>) -> bool {
        match &mut self.driver {
            Driver::Rtl8139(card) => card.take_interrupt(call),
            Driver::Virtio(card) => card.take_interrupt(call),
        }
    }

    /// Chooses which frames are taken.
    pub fn set_filter(&mut self, call: &mut Call<'_>, filter: Filter) {
        match &mut self.driver {
            Driver::Rtl8139(card) => card.set_filter(call, filter),
            // Without the control queue the card takes all that the switch sends it.
            Driver::Virtio(_) => {}
        }
    }
}

/// Reads a value from the rings.
fn load<T: FromBytes + IntoBytes>(call: &mut Call<'_>, at: Gpa) -> T {
    let mut value = T::new_zeroed();
    call.read_physical(at, value.as_mut_bytes());
    value
}

/// Writes one.
fn store<T: IntoBytes + Immutable>(call: &mut Call<'_>, at: Gpa, value: &T) {
    call.write_physical(at, value.as_bytes());
}
