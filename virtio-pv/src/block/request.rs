//! A request's meaning, once its chain is taken apart.

use super::bits::{RequestHeader, kind};
use crate::queue::{Chain, RingFault};
use guest_mem::{Gpa, GuestMemory};
use hvm::backend::SECTOR_BYTES;

/// What the driver wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Medium to the chain's writable buffers.
    Read,
    /// The chain's readable buffers to the medium.
    Write,
    /// Make writes durable.
    Flush,
    /// Name the disk.
    Identify,
    /// Nothing that we know.
    Unknown,
}

/// One request. Its data is what is left in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) sector: u64,
    /// Where the status byte goes.
    pub(super) status: Gpa,
}

impl Request {
    /// Takes header and status byte off the chain. A chain that lacks either cannot be answered: a fault.
    #[inline]
    pub(super) fn parse(chain: &mut Chain, memory: &GuestMemory) -> Result<Self, RingFault> {
        let header: RequestHeader = chain
            .take_header(memory)?
            .ok_or(RingFault::Request("a disk request without header"))?;
        let status = chain
            .take_trailer()
            .ok_or(RingFault::Request("a disk request without status byte"))?;
        let operation = match header.kind {
            kind::IN => Operation::Read,
            kind::OUT => Operation::Write,
            kind::FLUSH => Operation::Flush,
            kind::GET_ID => Operation::Identify,
            _ => Operation::Unknown,
        };
        Ok(Self {
            operation,
            sector: header.sector,
            status,
        })
    }
}

/// Checks that `bytes` are whole sectors, and `sector` on they lie on a medium of `capacity` sectors. Returns the
/// length as the used ring can express it.
#[inline]
pub(super) fn extent(sector: u64, bytes: u64, capacity: u64) -> Option<u32> {
    let end = sector.checked_add(bytes / SECTOR_BYTES)?;
    let whole = bytes.is_multiple_of(SECTOR_BYTES) && end <= capacity;
    // One more byte is needed for the status.
    u32::try_from(bytes)
        .ok()
        .filter(|&bytes| whole && bytes < u32::MAX)
}
