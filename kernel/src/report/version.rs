//! Which build this is.

use core::fmt;

/// The first eight bytes of the id that the linker gave this file; `readelf -n` shows all of it. `defmt-print` needs the file with
/// the same one.
pub struct BuildId;

#[cfg(target_os = "none")]
fn note() -> &'static [u8] {
    unsafe extern "C" {
        static __build_id_start: u8;
        static __build_id_end: u8;
    }
    let start = &raw const __build_id_start;
    let bytes = (&raw const __build_id_end).addr() - start.addr();
    // SAFETY: the linker script puts these two around the note, in read-only memory that is mapped for good.
    unsafe { core::slice::from_raw_parts(start, bytes) }
}

#[cfg(not(target_os = "none"))]
fn note() -> &'static [u8] {
    &[]
}

/// The id in an ELF note: three lengths and types of four bytes, the name `GNU\0`, the id.
fn id(note: &[u8]) -> &[u8] {
    const HEADER_BYTES: usize = 16;
    note.get(HEADER_BYTES..).unwrap_or_default()
}

impl fmt::Display for BuildId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", short_id())
    }
}

/// The same as a number; 0 in a file without an id.
pub fn short_id() -> u64 {
    id(note())
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
