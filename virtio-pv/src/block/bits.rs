//! Numbers of the block device (virtio 1.2, section 5.2).

use crate::features::Features;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `seg_max` holds.
pub const SEG_MAX: Features = Features::from_bits_retain(1 << 2);
/// The medium is read-only.
pub const READ_ONLY: Features = Features::from_bits_retain(1 << 5);
/// `block_bytes` holds.
pub const BLOCK_SIZE: Features = Features::from_bits_retain(1 << 6);
/// Flush requests are understood.
pub const FLUSH: Features = Features::from_bits_retain(1 << 9);
/// The driver may turn the write cache on and off.
pub const CONFIG_CACHE: Features = Features::from_bits_retain(1 << 11);

/// The configuration space (5.2.4), as far as it means anything here.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Config {
    /// Sectors of 512 bytes.
    pub capacity: u64,
    /// Not offered.
    pub size_max: u32,
    /// Most buffers in a request, header and status not counted.
    pub seg_max: u32,
    /// Not offered.
    pub geometry: u32,
    /// Block size.
    pub block_bytes: u32,
    /// Not offered.
    pub topology: [u32; 2],
    /// 1: writes may stay in a cache until flushed.
    pub writeback: u8,
    /// Padding.
    pub reserved: [u8; 7],
}

/// Offset of [`Config::writeback`].
pub const WRITEBACK_OFFSET: u64 = 32;

/// The first part of a request (5.2.6).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RequestHeader {
    /// What to do.
    pub kind: u32,
    /// Legacy priority; ignored.
    pub reserved: u32,
    /// Where, in sectors of 512 bytes.
    pub sector: u64,
}

/// Request kinds.
#[allow(missing_docs)]
pub mod kind {
    pub const IN: u32 = 0;
    pub const OUT: u32 = 1;
    pub const FLUSH: u32 = 4;
    pub const GET_ID: u32 = 8;
}

/// Bytes of the answer to [`kind::GET_ID`].
pub const ID_BYTES: usize = 20;

/// The last byte of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// The medium, the range or the buffers were at fault.
    IoError = 1,
    /// No such request.
    Unsupported = 2,
}
