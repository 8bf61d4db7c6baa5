//! Everything that runs Monovisor in an emulator: machines, engines, ways to boot, guests, test bodies and the bench.
//!
//! One test body serves every [`engine`] and every [`loader`]: it talks to a [`console::Console`] and does not know what
//! lies beneath. The crate runs on the developer's machine and calls Debian's own tools; it needs no root.
#![forbid(unsafe_code)]

pub mod bench;
pub mod bochs;
pub mod bundle;
pub mod command;
pub mod console;
pub mod cpio;
pub mod debian;
pub mod desk;
pub mod engine;
pub mod initramfs;
pub mod lan;
pub mod loader;
pub mod machine;
pub mod medium;
pub mod package;
pub mod pc;
pub mod peer;
pub mod program;
pub mod qemu;
pub mod remote;
pub mod stub;
pub mod suite;
pub mod tree;
pub mod turn;
pub mod vnc;
