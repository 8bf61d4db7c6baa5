//! Numbers of the PCI transport (virtio 1.2, section 4.1).

/// PCI vendor id of all virtio devices.
pub const VENDOR: u16 = 0x1af4;
/// Modern device ids are this plus the device type (4.1.2.1).
pub const MODERN_DEVICE_BASE: u16 = 0x1040;
/// Transitional device ids of types 1…4 (4.1.2.1): network, block, console, entropy.
pub const TRANSITIONAL_NETWORK: u16 = 0x1000;
/// See [`TRANSITIONAL_NETWORK`].
pub const TRANSITIONAL_BLOCK: u16 = 0x1001;
/// See [`TRANSITIONAL_NETWORK`].
pub const TRANSITIONAL_CONSOLE: u16 = 0x1003;
/// See [`TRANSITIONAL_NETWORK`].
pub const TRANSITIONAL_ENTROPY: u16 = 0x1005;
/// Subsystem id of modern-only devices: 40h or more keeps legacy drivers off (4.1.2.1).
pub const MODERN_SUBSYSTEM: u16 = 0x1100;

/// "No interrupt for this" in a vector register (4.1.5.1.2.1).
pub const NO_VECTOR: u16 = 0xffff;

/// ISR status: a queue was used (4.1.4.5).
pub const ISR_QUEUE: u8 = 1;
/// ISR status: the configuration changed.
pub const ISR_CONFIG: u8 = 2;

/// BAR numbers and the places in them.
pub mod bar {
    /// Ports: the legacy registers, and the fast kick register of modern drivers.
    pub const LEGACY: u8 = 0;
    /// Memory: MSI-X.
    pub const MSIX: u8 = 1;
    /// Memory: the modern registers.
    pub const MODERN: u8 = 4;

    /// Bytes in BAR 0: the largest header and the largest device configuration space that we have.
    pub const LEGACY_BYTES: u16 = 128;
    /// Bytes in BAR 1.
    pub const MSIX_BYTES: u32 = 0x1000;
    /// Where the pending bits start in BAR 1: 127 vectors fit before them.
    pub const MSIX_PENDING: u32 = 0x800;
    /// Bytes in BAR 4: four pages, one a structure.
    pub const MODERN_BYTES: u32 = 0x4000;
    /// Bytes of one structure's page in BAR 4.
    pub const PAGE_BYTES: u32 = 0x1000;
}

/// Vendor-specific capabilities (4.1.4).
pub mod capability {
    /// PCI capability id.
    pub const VENDOR_SPECIFIC: u8 = 9;
    /// Bytes of a capability, id and link included.
    pub const BYTES: u8 = 16;
    /// Common configuration.
    pub const COMMON: u8 = 1;
    /// Kicks.
    pub const NOTIFY: u8 = 2;
    /// ISR status.
    pub const ISR: u8 = 3;
    /// The device's configuration space.
    pub const DEVICE: u8 = 4;
    /// A way to the BARs through PCI configuration space.
    pub const PCI: u8 = 5;

    /// Offset of the BAR number in a capability.
    pub const BAR: u8 = 4;
    /// Offset of the offset.
    pub const OFFSET: u8 = 8;
    /// Offset of the length.
    pub const LENGTH: u8 = 12;
    /// Offset of the data register of [`PCI`].
    pub const DATA: u8 = 16;
}

/// Bytes between two queues' kick registers in BAR 4.
pub const NOTIFY_MULTIPLIER: u32 = 4;

/// The common configuration structure (4.1.4.3).
#[allow(missing_docs)]
pub mod common {
    pub const DEVICE_FEATURE_SELECT: u64 = 0;
    pub const DEVICE_FEATURE: u64 = 4;
    pub const DRIVER_FEATURE_SELECT: u64 = 8;
    pub const DRIVER_FEATURE: u64 = 12;
    /// The number of queues is the other half of its dword.
    pub const CONFIG_VECTOR: u64 = 16;
    /// The configuration generation is the next byte.
    pub const DEVICE_STATUS: u64 = 20;
    pub const QUEUE_SELECT: u64 = 22;
    pub const QUEUE_SIZE: u64 = 24;
    pub const QUEUE_VECTOR: u64 = 26;
    /// The queue's place among the kick registers is the other half of its dword.
    pub const QUEUE_ENABLE: u64 = 28;
    pub const QUEUE_DESCRIPTORS: u64 = 32;
    pub const QUEUE_DRIVER: u64 = 40;
    pub const QUEUE_DEVICE: u64 = 48;
    /// Its length, without the fields of features that we do not offer.
    pub const BYTES: u32 = 56;
}

/// The legacy registers (4.1.4.10).
#[allow(missing_docs)]
pub mod legacy {
    pub const DEVICE_FEATURES: u64 = 0;
    pub const DRIVER_FEATURES: u64 = 4;
    pub const QUEUE_ADDRESS: u64 = 8;
    pub const QUEUE_SIZE: u64 = 12;
    pub const QUEUE_SELECT: u64 = 14;
    pub const QUEUE_NOTIFY: u64 = 16;
    pub const DEVICE_STATUS: u64 = 18;
    pub const ISR: u64 = 19;
    /// With MSI-X on only.
    pub const CONFIG_VECTOR: u64 = 20;
    /// With MSI-X on only.
    pub const QUEUE_VECTOR: u64 = 22;
    /// Where the device's configuration space starts without MSI-X.
    pub const HEADER_BYTES: u64 = 20;
    /// Where it starts with MSI-X on.
    pub const HEADER_BYTES_MSIX: u64 = 24;
}
