//! Real hardware.
//!
//! Guarantees to the kernel that a driver touches only the ports and the memory that it was given, through [`ports::Ports`], so that each driver's logic runs against a register model on the host; and that no driver waits
//! for hardware without a bound.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod i8042;
pub mod pci;
pub mod ports;
pub mod uart;
