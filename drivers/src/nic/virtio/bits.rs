//! What a driver of virtio network devices reads and writes (virtio 1.2, sections 2.7, 4.1 and 5.1).

use bitflags::bitflags;

/// The vendor of all virtio functions.
pub const VENDOR: u16 = 0x1af4;
/// Network cards: transitional, and modern (4.1.2.1).
pub const DEVICES: [u16; 2] = [0x1000, 0x1041];

/// Structures that the vendor's capabilities point to (4.1.4).
pub mod structure {
    /// Common configuration.
    pub const COMMON: u8 = 1;
    /// Notifications.
    pub const NOTIFY: u8 = 2;
    /// Interrupt status.
    pub const INTERRUPT: u8 = 3;
    /// The device's own configuration.
    pub const DEVICE: u8 = 4;
}

/// Common configuration (4.1.4.3).
pub mod common {
    #![allow(missing_docs)]
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub const DEVICE_FEATURE: usize = 0x04;
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub const DRIVER_FEATURE: usize = 0x0c;
    pub const CONFIG_VECTOR: usize = 0x10;
    pub const STATUS: usize = 0x14;
    pub const QUEUE_SELECT: usize = 0x16;
    pub const QUEUE_SIZE: usize = 0x18;
    pub const QUEUE_VECTOR: usize = 0x1a;
    pub const QUEUE_ENABLE: usize = 0x1c;
    pub const QUEUE_NOTIFY_OFFSET: usize = 0x1e;
    pub const QUEUE_DESCRIPTORS: usize = 0x20;
    pub const QUEUE_AVAILABLE: usize = 0x28;
    pub const QUEUE_USED: usize = 0x30;
    pub const BYTES: u32 = 0x38;
}

/// The legacy interface's registers, without message vectors (4.1.4.10).
pub mod legacy {
    #![allow(missing_docs)]
    pub const DEVICE_FEATURES: usize = 0x00;
    pub const DRIVER_FEATURES: usize = 0x04;
    pub const QUEUE_ADDRESS: usize = 0x08;
    pub const QUEUE_SIZE: usize = 0x0c;
    pub const QUEUE_SELECT: usize = 0x0e;
    pub const QUEUE_NOTIFY: usize = 0x10;
    pub const STATUS: usize = 0x12;
    pub const INTERRUPT: usize = 0x13;
    pub const DEVICE: usize = 0x14;
    /// Queues are told of as page numbers.
    pub const PAGE_SHIFT: u32 = 12;
}

/// The device's own configuration (5.1.4).
pub mod config {
    #![allow(missing_docs)]
    pub const MAC: usize = 0;
    pub const STATUS: usize = 6;
    pub const BYTES: u32 = 8;
    pub const LINK_UP: u8 = 1;
}

/// Interrupt status: the configuration changed (4.1.4.5).
pub const CONFIGURATION_CHANGED: u8 = 1 << 1;

bitflags! {
    /// Features (5.1.3, 6).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// The device completes checksums.
        const CHECKSUM = 1 << 0;
        /// The driver takes frames with checksums left out.
        const GUEST_CHECKSUM = 1 << 1;
        /// It has an address.
        const MAC = 1 << 5;
        /// The device cuts TCP over IPv4.
        const HOST_TSO4 = 1 << 11;
        /// The device cuts TCP over IPv6.
        const HOST_TSO6 = 1 << 12;
        /// It tells of its link.
        const STATUS = 1 << 16;
        /// It has a control queue.
        const CONTROL = 1 << 17;
        /// That takes receive modes and stations.
        const CONTROL_RX = 1 << 18;
        /// Headers and frames may lie in one buffer.
        const ANY_LAYOUT = 1 << 27;
        /// The modern interface.
        const VERSION_1 = 1 << 32;
    }
}

/// What stands before a frame (5.1.6): flags, kind of cutting, header length, segment length, where summing starts and where the sum
/// goes; modern, also a number of buffers.
pub mod header {
    #![allow(missing_docs)]
    pub const BYTES: usize = 12;
    pub const LEGACY_BYTES: usize = 10;
    pub const NEEDS_CHECKSUM: u8 = 1;
    pub const DATA_VALID: u8 = 2;
    pub const PLAIN: u8 = 0;
    pub const TCP4: u8 = 1;
    pub const TCP6: u8 = 4;
}

/// Commands of the control queue, by class, and the answer to those that were done (5.1.6.5).
pub mod control {
    #![allow(missing_docs)]
    pub const RX: u8 = 0;
    pub const RX_PROMISCUOUS: u8 = 0;
    pub const RX_ALL_GROUPS: u8 = 1;
    pub const MAC: u8 = 1;
    pub const MAC_TABLE_SET: u8 = 0;
    pub const OK: u8 = 0;
}

/// A queue's parts (2.7).
pub mod queue {
    #![allow(missing_docs)]
    pub const DESCRIPTOR_BYTES: usize = 16;
    /// A descriptor's flags: another one follows; the device writes.
    pub const NEXT: u16 = 1;
    /// See [`NEXT`].
    pub const WRITE: u16 = 2;
    /// Both rings: flags, index, entries.
    pub const FLAGS: usize = 0;
    pub const INDEX: usize = 2;
    pub const ENTRIES: usize = 4;
    pub const AVAILABLE_BYTES: usize = 2;
    pub const USED_BYTES: usize = 8;
    /// The driver's flag: no interrupts.
    pub const NO_INTERRUPT: u16 = 1;
    /// The device's flag: no notifications.
    pub const NO_NOTIFY: u16 = 1;
}
