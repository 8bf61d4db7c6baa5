//! VT-x behind [`hvm`].
//!
//! So far it only tells what a CPU offers ([`capability`]) and what is wrong with a VMCS ([`check`]); it cannot run a guest yet, and
//! the kernel's report says so. File by file it will mirror `svm-core`.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod bits;
pub mod capability;
pub mod check;
pub mod controls;
pub mod vmcs;
