//! Time as devices see it.

use core::ops::{Add, Sub};
use serde::{Deserialize, Serialize};

/// A point on the guest's one monotonic clock: nanoseconds since the guest's first power-on. It stands still while the
/// guest is paused and never goes backwards. Devices get it passed in and never look at a clock themselves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant {
    /// Nanoseconds since power-on.
    pub ns: u64,
}

impl Instant {
    /// The guest's power-on.
    pub const ZERO: Self = Self { ns: 0 };

    /// The point `ns` nanoseconds after power-on.
    #[inline]
    pub const fn from_ns(ns: u64) -> Self {
        Self { ns }
    }

    /// Nanoseconds since `earlier`; 0 if that lies in the future.
    #[inline]
    pub const fn since_ns(self, earlier: Self) -> u64 {
        self.ns.saturating_sub(earlier.ns)
    }
}

impl Add<u64> for Instant {
    type Output = Self;

    /// The point `ns` later.
    #[inline]
    fn add(self, ns: u64) -> Self {
        Self {
            ns: self.ns.saturating_add(ns),
        }
    }
}

impl Sub<u64> for Instant {
    type Output = Self;

    /// The point `ns` earlier.
    #[inline]
    fn sub(self, ns: u64) -> Self {
        Self {
            ns: self.ns.saturating_sub(ns),
        }
    }
}
