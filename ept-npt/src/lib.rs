//! Guest-physical memory as the CPU walks it.
//!
//! One interface, several table formats: [`Tables`] maps guest-physical ranges to host-physical ones in the largest
//! pages that alignment and CPU allow, and unmaps them again; a [`Format`] says how an entry is written: AMD-V's nested page
//! tables ([`npt::Npt`]) or VT-x's extended page tables ([`ept::Ept`]). [`Tracked`] says what the guest has written. Shadow paging will be the second implementation of
//! the interface; it follows with its issue.
//!
//! Guarantees to `kernel`: nothing is reachable through the tables but what was mapped; a range that is already mapped is
//! refused and left as it was; running out of table pages leaves what was mapped before intact.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod ept;
mod format;
mod memory_type;
pub mod npt;
pub mod shadow;
mod tables;

pub use format::{Format, Level, Rights};
pub use memory_type::MemoryType;
pub use tables::{MapError, Mapping, Piece, TableMemory, Tables, Tracked, WriteFault};
