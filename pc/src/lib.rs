//! The emulated PC: chipset and devices as pure state machines, after their data sheets.
//!
//! No device here looks at a clock, holds guest memory or calls its owner: time and memory are passed in, interrupt lines
//! are read off and messages leave through [`hvm::device::Signals`]. [`Board`] wires them as on a 440FX board;
//! [`Lapic`] belongs to each virtual CPU. Nothing that a guest writes makes any of it panic, allocate or loop.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod a20;
pub mod acpi_pm;
pub mod board;
mod clock;
pub mod dma;
pub mod floppy;
pub mod fw_cfg;
pub mod hpet;
pub mod ide;
pub mod ioapic;
pub mod kbc;
pub mod lapic;
pub mod pci;
pub mod pflash;
pub mod pic;
pub mod pit;
pub mod ps2;
pub mod reset;
pub mod rtc;
pub mod rtl8139;
mod saved;
#[cfg(test)]
mod testing;
pub mod uart;
pub mod vga;
pub mod vmmouse;

pub use a20::A20;
pub use board::{Board, BoardConfig};
pub use lapic::Lapic;
