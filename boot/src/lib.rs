//! What every loader leaves behind, in one [`BootInfo`].
//!
//! The library half of this package is the contract between the entry code (the `boot` binary, one entry per
//! loader protocol) and the kernel. It is plain data: no pointers that outlive the hand-over, physical addresses only.
#![no_std]
#![forbid(unsafe_code)]

mod info;

pub use info::{
    BootInfo, CommandLine, Framebuffer, LoaderKind, MAX_COMMAND_LINE_BYTES, MAX_MEMORY_REGIONS,
    MemoryKind, MemoryMap, MemoryRegion, PhysRange, PixelFormat,
};
