//! The machine under the hypervisor: memory, CPUs, interrupts, time and power, as a library.
//!
//! A program for the bare machine is this library and a `main` named with [`entry!`]; the default one is the binary
//! `monovisor-kernel`, and a user can write another with fewer parts. [`init`] brings up everything below in order;
//! each module says what it needs to have run before.
//!
//! Rules that hold everywhere:
//! - Interrupt handlers run with interrupts off, never allocate and never take a lock that other code takes with
//!   interrupts on. What they have to say goes through atomics and [`cpu::events`].
//! - Host-physical memory is reached at [`mem::phys_to_virt`]; there is one virtual address for each physical one, so
//!   no page is ever mapped with two memory types.
#![cfg_attr(not(test), no_std)]
// The hosted build serves the unit tests of what is pure logic; the way from the entry to the rest is not in it.
#![cfg_attr(not(target_os = "none"), allow(dead_code))]

extern crate alloc;

pub mod acpi;
pub mod apic;
pub mod console;
pub mod cpu;
pub mod entry;
pub mod halt;
pub mod log;
pub mod mem;
pub mod net;
pub mod power;
pub mod report;
pub mod service;
pub mod smp;
pub mod time;
pub mod vm;

mod init;
mod panic;

pub use init::{Parts, init};
