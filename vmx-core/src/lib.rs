//! VT-x behind [`hvm`].
//!
//! So far it only tells what a CPU offers ([`capability`]); it cannot run a guest yet, and the kernel's report says so. File by file
//! it will mirror `svm-core`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod bits;
pub mod capability;
pub mod posted;
