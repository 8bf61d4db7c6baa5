//! The split virtqueue as bytes. All fields are little-endian, as every x86 host and guest is.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An entry of the descriptor table (2.7.5).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Descriptor {
    /// Guest-physical address of the buffer, or of the indirect table.
    pub address: u64,
    /// Its length.
    pub bytes: u32,
    /// [`DescriptorFlags`].
    pub flags: u16,
    /// The next descriptor, if the flags say that there is one.
    pub next: u16,
}

/// Bytes in a [`Descriptor`].
pub const DESCRIPTOR_BYTES: u64 = 16;

bitflags! {
    /// Flags of a descriptor.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DescriptorFlags: u16 {
        /// `next` holds.
        const NEXT = 1;
        /// The device writes the buffer; without it the device reads.
        const WRITE = 2;
        /// The buffer holds a table of descriptors.
        const INDIRECT = 4;
    }
}

/// The driver's area, "available ring" (2.7.6): flags, index, `size` heads, used_event.
pub mod available {
    /// Bit of the flags: the driver wants no interrupts (without [`crate::features::Features::EVENT_INDEX`]).
    pub const NO_INTERRUPT: u16 = 1;

    /// Offset of the flags.
    pub const FLAGS: u64 = 0;
    /// Offset of the index that the driver writes next.
    pub const INDEX: u64 = 2;
    /// Offset of the heads.
    pub const HEADS: u64 = 4;
    /// Bytes in a head.
    pub const HEAD_BYTES: u64 = 2;

    /// Offset of used_event: past which used index the driver wants an interrupt.
    pub const fn used_event(size: u16) -> u64 {
        HEADS + HEAD_BYTES * size as u64
    }

    /// Bytes in the whole area, used_event included.
    pub const fn bytes(size: u16) -> u64 {
        used_event(size) + 2
    }
}

/// The device's area, "used ring" (2.7.8): flags, index, `size` elements, avail_event.
pub mod used {
    /// Offset of the index that the device writes next.
    pub const INDEX: u64 = 2;
    /// Offset of the elements.
    pub const ELEMENTS: u64 = 4;
    /// Bytes in an element.
    pub const ELEMENT_BYTES: u64 = 8;

    /// Offset of avail_event: past which available index the device wants a kick.
    pub const fn avail_event(size: u16) -> u64 {
        ELEMENTS + ELEMENT_BYTES * size as u64
    }

    /// Bytes in the whole area, avail_event included.
    pub const fn bytes(size: u16) -> u64 {
        avail_event(size) + 2
    }
}

/// An element of the used ring.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct UsedElement {
    /// The head of the chain that is given back.
    pub head: u32,
    /// How many bytes the device wrote, from the first writable byte on.
    pub bytes: u32,
}
