//! Direct boot of Linux through its 64-bit entry (Linux, `Documentation/arch/x86/boot.rst`, "64-bit Boot Protocol").
//!
//! [`Image::parse`] judges the file, [`load`] places kernel, initrd, command line, boot parameters, page tables and GDT
//! in guest memory, and [`EntryState`] is what the first vCPU must hold.

mod entry;
mod header;
mod image;
mod load;

pub use entry::{EntryState, Segment};
pub use image::{Image, NotBzImage};
pub use load::{LoadError, load};
