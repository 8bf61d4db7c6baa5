//! The SVR4 portable cpio format without checksums, `newc`: what Linux takes as an initramfs, so what every boot
//! loader can hand over (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! [`Entries`] reads: strictly, without copies, over several archives one after the other with zeroes between, as boot
//! loaders join initrds. [`Writer`] writes.

mod header;
mod read;
mod write;

pub use header::{Kind, MAX_FILE_BYTES, header, padding, trailer};
pub use read::{ArchiveError, Entries, Entry, Foreign, Problem};
pub use write::Writer;
