//! Guest memory, raw.
//!
//! This is the one leaf crate that touches guest memory. It guarantees to everything above it:
//! - guest memory is never behind a reference: bytes are copied in and out by value;
//! - every address, from wherever, is an allegation: each access is checked against the map of RAM, whole, before its first byte moves;
//! - every write by the hypervisor goes through [`GuestMemory::write`] and its siblings here, the one point that marks pages dirty
//!   and tells those that shadow the guest's page tables.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod addr;
mod area;
mod dirty;
mod memory;
mod raw;
mod tables;
mod watch;

pub use addr::{Gpa, Gva, Hpa, PAGE_BYTES};
pub use area::{Area, Attributes, Backing, Reads, Writes};
pub use dirty::DirtyLog;
pub use memory::{GuestMemory, Pinned, Region, Unmapped};
pub use tables::TableLog;
pub use watch::Watch;
