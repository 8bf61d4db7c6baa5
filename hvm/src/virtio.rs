//! What both ends of virtio have in common: we drive such devices, and we are such devices.

use bitflags::bitflags;

bitflags! {
    /// The device status field (virtio 1.2, 2.1).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u8 {
        /// The driver's system saw the device.
        const ACKNOWLEDGE = 1;
        /// It has a driver.
        const DRIVER = 2;
        /// The driver is ready.
        const DRIVER_OK = 4;
        /// Features are settled.
        const FEATURES_OK = 8;
        /// The device is broken until it is reset.
        const NEEDS_RESET = 64;
        /// The driver gave up.
        const FAILED = 128;
    }
}
