//! Why a card cannot be used.

use core::fmt;

/// What was found, where something else should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its registers read as all ones.
    Gone,
    /// A reset did not end within so many milliseconds.
    Reset {
        /// How long it had.
        limit_ms: u32,
    },
    /// It told no address of a station.
    Address([u8; 6]),
    /// A ring did not start.
    Ring,
    /// Another chip than the driver was written for: its version.
    Version(u32),
    /// virtio: it wants features that the driver has not.
    Features,
    /// virtio: the legacy interface without frames and headers in one buffer.
    Layout,
    /// virtio: a queue has this size: none, or of the legacy interface one that the driver has no memory for.
    Queue {
        /// How many entries it has.
        size: u16,
        /// How many it may have.
        most: u16,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("its registers read as all ones, as if it were not there"),
            Self::Reset { limit_ms } => write!(f, "it did not end its reset within {limit_ms} ms"),
            Self::Address(bytes) => {
                write!(f, "it told the address {bytes:02x?}, which no station has")
            }
            Self::Ring => f.write_str("a ring of it did not start within 10 ms"),
            Self::Version(version) => write!(f, "its version, {version:#05x}, is not known"),
            Self::Features => f.write_str("it does not agree to the features that there are"),
            Self::Layout => f.write_str("it is too old: it wants headers in buffers of their own"),
            Self::Queue { size, most } => write!(
                f,
                "a queue of it has {size} entries, not a power of two up to {most}"
            ),
        }
    }
}
