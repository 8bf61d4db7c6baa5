//! Addresses of the three spaces, as types that do not mix.

use core::fmt;

/// Bytes in a base page.
pub const PAGE_BYTES: u64 = 4096;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The address `bytes` further on, wrapping at 2^64 as the CPU's adders do.
            #[inline]
            #[must_use]
            pub const fn wrapping_add(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// The address `bytes` further on, or `None` past 2^64.
            #[inline]
            #[must_use]
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The base of the 4 KiB page that holds the address.
            #[inline]
            #[must_use]
            pub const fn page_base(self) -> Self {
                Self(self.0 & !(PAGE_BYTES - 1))
            }

            /// The offset in its 4 KiB page.
            #[inline]
            #[must_use]
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_BYTES - 1)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// Guest-physical address.
    Gpa
}
address! {
    /// Guest-linear address (after segmentation, before paging).
    Gva
}
address! {
    /// Host-physical address.
    Hpa
}
