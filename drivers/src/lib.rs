//! Real hardware.
//!
//! Guarantees to the kernel that a driver touches only the ports, registers and rings that it was given, through [`ports::Ports`] and
//! [`window::Window`], so that each driver's logic runs against a register model on the host; that it tells hardware of no memory but
//! its rings and the packets that it holds; and that no driver waits for hardware without a bound.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod i8042;
pub mod nic;
pub mod pci;
pub mod ports;
pub mod uart;
pub mod window;
