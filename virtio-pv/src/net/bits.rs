//! Numbers of the network device (virtio 1.2, section 5.1).

use crate::features::Features;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const fn bit(number: u32) -> Features {
    Features::from_bits_retain(1 << number)
}

/// The driver may leave checksums out.
pub const CHECKSUM: Features = bit(0);
/// The driver takes frames without checksums.
pub const GUEST_CHECKSUM: Features = bit(1);
/// The driver may change what it takes.
pub const CONTROL_GUEST_OFFLOADS: Features = bit(2);
/// `mtu_bytes` holds.
pub const MTU: Features = bit(3);
/// `mac` holds.
pub const MAC: Features = bit(5);
/// The driver takes long TCP segments over IPv4.
pub const GUEST_TSO4: Features = bit(7);
/// The driver takes long TCP segments over IPv6.
pub const GUEST_TSO6: Features = bit(8);
/// The driver may send long TCP segments over IPv4.
pub const HOST_TSO4: Features = bit(11);
/// The driver may send long TCP segments over IPv6.
pub const HOST_TSO6: Features = bit(12);
/// A frame may lie in several receive buffers.
pub const MERGEABLE: Features = bit(15);
/// `status` holds.
pub const STATUS: Features = bit(16);
/// There is a control queue.
pub const CONTROL: Features = bit(17);
/// It takes receive modes.
pub const CONTROL_RX: Features = bit(18);
/// It takes VLAN identifiers.
pub const CONTROL_VLAN: Features = bit(19);
/// It takes more receive modes.
pub const CONTROL_RX_EXTRA: Features = bit(20);
/// The driver announces itself when asked.
pub const ANNOUNCE: Features = bit(21);
/// There may be several pairs of queues.
pub const MULTIQUEUE: Features = bit(22);
/// The control queue sets the address.
pub const CONTROL_MAC: Features = bit(23);

/// The configuration space (5.1.4).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Config {
    /// The address.
    pub mac: [u8; 6],
    /// See [`LINK_UP`] and [`ANNOUNCE_WANTED`].
    pub status: u16,
    /// Pairs of queues that there are.
    pub pairs: u16,
    /// The largest IP packet.
    pub mtu_bytes: u16,
}

/// Status: frames get through.
pub const LINK_UP: u16 = 1;
/// Status: the driver is asked to announce itself.
pub const ANNOUNCE_WANTED: u16 = 2;

/// What stands before every frame (5.1.6). Legacy drivers without mergeable buffers leave the last field out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// See [`NEEDS_CHECKSUM`] and [`DATA_VALID`].
    pub flags: u8,
    /// See [`gso`].
    pub gso: u8,
    /// A hint at how many bytes of headers there are.
    pub header_bytes: u16,
    /// The most payload of one piece.
    pub segment_bytes: u16,
    /// Where summing starts.
    pub checksum_start: u16,
    /// Where the sum goes, from there.
    pub checksum_offset: u16,
    /// How many receive buffers the frame lies in.
    pub buffers: u16,
}

/// Bytes of a header without its last field.
pub const SHORT_HEADER_BYTES: usize = 10;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 12;

/// Header flag: the checksum is to be computed.
pub const NEEDS_CHECKSUM: u8 = 1;
/// Header flag: the checksum was looked at and is right.
pub const DATA_VALID: u8 = 2;

/// How a long frame is to be cut.
#[allow(missing_docs)]
pub mod gso {
    pub const NONE: u8 = 0;
    pub const TCP4: u8 = 1;
    pub const TCP6: u8 = 4;
}

/// Classes and commands of the control queue (5.1.6.5).
#[allow(missing_docs)]
pub mod control {
    pub const RX: u8 = 0;
    pub const RX_PROMISCUOUS: u8 = 0;
    pub const RX_ALL_MULTICAST: u8 = 1;
    pub const RX_ALL_UNICAST: u8 = 2;
    pub const RX_NO_MULTICAST: u8 = 3;
    pub const RX_NO_UNICAST: u8 = 4;
    pub const RX_NO_BROADCAST: u8 = 5;

    pub const MAC: u8 = 1;
    pub const MAC_TABLE_SET: u8 = 0;
    pub const MAC_ADDRESS_SET: u8 = 1;

    pub const VLAN: u8 = 2;
    pub const VLAN_ADD: u8 = 0;
    pub const VLAN_REMOVE: u8 = 1;

    pub const ANNOUNCE: u8 = 3;
    pub const ANNOUNCE_ACKNOWLEDGE: u8 = 0;

    pub const MULTIQUEUE: u8 = 4;
    pub const PAIRS_SET: u8 = 0;

    pub const GUEST_OFFLOADS: u8 = 5;
    pub const GUEST_OFFLOADS_SET: u8 = 0;
}

/// The answer to a control command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// Done.
    Ok = 0,
    /// Not done.
    Error = 1,
}
