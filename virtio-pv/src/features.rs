//! Feature bits (virtio 1.2, section 6).

use bitflags::bitflags;

bitflags! {
    /// A set of feature bits. The transport's own have names here; a device names its own beside its registers.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Features: u64 {
        /// Legacy only: requests may be cut into descriptors in any way.
        const ANY_LAYOUT = 1 << 27;
        /// A descriptor may refer to a table of descriptors.
        const INDIRECT = 1 << 28;
        /// Both sides say by index when they want to be told.
        const EVENT_INDEX = 1 << 29;
        /// The driver follows virtio 1.0 or later.
        const VERSION_1 = 1 << 32;

        const _ = !0;
    }
}

impl Features {
    /// What the queues and the transport offer, beside the device's own bits.
    pub const TRANSPORT: Self = Self::INDIRECT.union(Self::EVENT_INDEX);

    /// Dword `select` of the set: 0 is bits 0…31, 1 is bits 32…63; others read 0 (4.1.4.3).
    pub fn dword(self, select: u32) -> u32 {
        match select {
            0 => self.bits() as u32,
            1 => (self.bits() >> 32) as u32,
            _ => 0,
        }
    }

    /// The set with dword `select` replaced; unchanged for any other `select` than 0 and 1.
    #[must_use]
    pub fn with_dword(self, select: u32, value: u32) -> Self {
        let (low, high) = (self.dword(0), self.dword(1));
        let (low, high) = match select {
            0 => (value, high),
            1 => (low, value),
            _ => (low, high),
        };
        Self::from_bits_retain(u64::from(high) << 32 | u64::from(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dwords_come_apart_and_together() {
        let features = Features::VERSION_1 | Features::INDIRECT;
        assert_eq!((features.dword(0), features.dword(1)), (1 << 28, 1));
        assert_eq!(features.dword(2), 0);
        let rebuilt = Features::empty()
            .with_dword(1, 1)
            .with_dword(0, 1 << 28)
            .with_dword(7, !0);
        assert_eq!(rebuilt, features);
    }
}
