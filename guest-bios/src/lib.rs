//! The guest's firmware.
//!
//! Two ways to start a guest. Through the BIOS ([`bios`], with the ROM of stubs in [`rom`]) it boots from its own media.
//! Directly it finds what a PC's firmware leaves behind: the memory map ([`memory`]), the ACPI tables ([`acpi`]), the older ones ([`tables`]) and a
//! loaded kernel ([`linux`], the 64-bit entry of the Linux/x86 boot protocol). [`platform`] holds the addresses and wires that the tables tell the guest
//! and that the emulated PC must therefore have.
//!
//! It guarantees to the kernel that a foreign or damaged image is an error before guest memory is touched, and that
//! what it places in guest memory never overlaps.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod acpi;
pub mod bios;
pub mod linux;
pub mod memory;
pub mod mp;
pub mod pir;
pub mod platform;
pub mod rom;
pub mod smbios;
mod sum;
pub mod tables;
pub mod user;
