//! How a ring can be broken.

use core::fmt;
use guest_mem::Unmapped;

/// Why a device stopped and asks for a reset (DEVICE_NEEDS_RESET, 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingFault {
    /// The driver enabled a queue whose size, alignment or addresses the rules forbid (2.7).
    Placement {
        /// The size that it asked for.
        size: u16,
    },
    /// A part of the ring, or a buffer that must be read to understand a request, is not RAM.
    Unmapped(Unmapped),
    /// The available index says that more chains wait than the ring can hold (2.7.13.1).
    AvailableIndex {
        /// What it was.
        found: u16,
        /// The first entry that the device had not taken.
        next: u16,
    },
    /// The available index never stood still, although nothing was taken.
    Restless,
    /// More chains are in the device's hands than the ring can hold.
    Overcommitted,
    /// A descriptor index is past the end of its table.
    DescriptorIndex {
        /// The index.
        found: u16,
        /// How many descriptors the table has.
        entries: u32,
    },
    /// A chain has more descriptors than the largest queue, or runs in a circle (2.7.5.1).
    ChainTooLong,
    /// A readable buffer follows a writable one (2.7.4.2).
    Order,
    /// A buffer runs past the end of the address space.
    BufferWraps(u64),
    /// An indirect table that was not negotiated, is chained, nested, empty, or no whole number of descriptors (2.7.5.3).
    Indirect,
    /// The request in a chain lacks the parts that its device needs, or is absurdly large.
    Request(&'static str),
}

impl From<Unmapped> for RingFault {
    fn from(unmapped: Unmapped) -> Self {
        Self::Unmapped(unmapped)
    }
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placement { size } => write!(
                f,
                "the driver enabled a queue of {size} entries that is no power of two, too long or misaligned"
            ),
            Self::Unmapped(unmapped) => write!(f, "part of a ring or request: {unmapped}"),
            Self::AvailableIndex { found, next } => write!(
                f,
                "available index {found:#06x} is further past {next:#06x} than the ring is long"
            ),
            Self::Restless => write!(
                f,
                "the available index kept changing while nothing was taken"
            ),
            Self::Overcommitted => {
                write!(f, "more chains are outstanding than the ring has entries")
            }
            Self::DescriptorIndex { found, entries } => {
                write!(f, "descriptor {found} of a table of {entries}")
            }
            Self::ChainTooLong => write!(f, "a descriptor chain is circular or too long"),
            Self::Order => write!(f, "a readable buffer follows a writable one"),
            Self::BufferWraps(address) => {
                write!(f, "the buffer at {address:#x} runs past the address space")
            }
            Self::Indirect => write!(f, "an indirect descriptor table that the rules forbid"),
            Self::Request(what) => write!(f, "a malformed request: {what}"),
        }
    }
}
