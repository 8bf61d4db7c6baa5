//! The header of an entry: 110 bytes of ASCII, then the name with its NUL, then zeroes up to four bytes.

use alloc::format;
use alloc::vec::Vec;

pub(super) const MAGIC: &[u8; 6] = b"070701";
pub(super) const HEADER_BYTES: usize = 110;
pub(super) const TRAILER: &str = "TRAILER!!!";
/// Longest name, with its NUL: Linux's PATH_MAX, which its unpacker enforces.
pub(super) const MAX_NAME_BYTES: usize = 4096;

/// Largest file that the format can hold: its size fields have 32 bits.
pub const MAX_FILE_BYTES: u64 = u32::MAX as u64;

// Indices of the eight-digit fields that follow the magic.
pub(super) const MODE: usize = 1;
pub(super) const FILE_SIZE: usize = 6;
pub(super) const NAME_SIZE: usize = 11;
pub(super) const CHECKSUM: usize = 12;
pub(super) const FIELDS: usize = 13;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_SYMLINK: u32 = 0o120_000;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; its data is the target.
    Symlink,
    /// A device, FIFO or socket.
    Special,
}

impl Kind {
    pub(super) fn of_mode(mode: u32) -> Self {
        match mode & TYPE_MASK {
            TYPE_FILE => Self::File,
            TYPE_DIRECTORY => Self::Directory,
            TYPE_SYMLINK => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// Header, name and padding of a regular file of `bytes` bytes, to be followed by its data and [`padding`]. Written by
/// itself so that a host tool can stream files larger than its memory. `number` must differ between the files of one
/// archive. Dates and owners are zero, so that equal input packs to equal bytes.
///
/// `None` if the name is empty, too long or holds a NUL, or the file exceeds [`MAX_FILE_BYTES`].
pub fn header(number: u32, name: &str, bytes: u64) -> Option<Vec<u8>> {
    let bytes = u32::try_from(bytes).ok()?;
    if name.is_empty() || name.len() >= MAX_NAME_BYTES || name.contains('\0') || name == TRAILER {
        return None;
    }
    Some(raw_header(number, TYPE_FILE | 0o644, bytes, name))
}

/// What ends an archive.
pub fn trailer() -> Vec<u8> {
    raw_header(0, 0, 0, TRAILER)
}

fn raw_header(number: u32, mode: u32, bytes: u32, name: &str) -> Vec<u8> {
    let mut fields = [0; FIELDS];
    fields[0] = number;
    fields[MODE] = mode;
    fields[4] = 1; // links
    fields[FILE_SIZE] = bytes;
    fields[NAME_SIZE] = name.len() as u32 + 1;
    let mut out = MAGIC.to_vec();
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(padding(out.len() as u64));
    out
}

/// The zeroes that follow `bytes` bytes of data (or of header and name) up to the next multiple of four.
pub const fn padding(bytes: u64) -> &'static [u8] {
    match bytes % 4 {
        0 => &[],
        1 => &[0; 3],
        2 => &[0; 2],
        _ => &[0; 1],
    }
}
