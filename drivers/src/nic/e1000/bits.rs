//! Registers and descriptors of Intel's gigabit Ethernet controllers (PCI/PCI-X Family of Gigabit Ethernet Controllers Software
//! Developer's Manual, 8254x, revision 4.0, chapters 3 and 13; 82574 data sheet, revision 3.4, chapters 7 and 10).

use bitflags::bitflags;

/// Bytes of registers that are used, from the first base address on.
pub const REGISTER_BYTES: u64 = 0x2_0000;

/// Device control.
pub const CTRL: usize = 0x0000;
/// Device status.
pub const STATUS: usize = 0x0008;
/// Interrupt cause; reading clears it.
pub const ICR: usize = 0x00c0;
/// Interrupt mask: ones set.
pub const IMS: usize = 0x00d0;
/// Interrupt mask: ones clear.
pub const IMC: usize = 0x00d8;
/// Receive control.
pub const RCTL: usize = 0x0100;
/// Transmit control.
pub const TCTL: usize = 0x0400;
/// Transmit inter-packet gap.
pub const TIPG: usize = 0x0410;
/// Receive ring: address, length in bytes, head, tail.
pub const RDBAL: usize = 0x2800;
/// See [`RDBAL`].
pub const RDLEN: usize = 0x2808;
/// See [`RDBAL`].
pub const RDH: usize = 0x2810;
/// See [`RDBAL`].
pub const RDT: usize = 0x2818;
/// Receive delay timer.
pub const RDTR: usize = 0x2820;
/// Receive absolute delay timer.
pub const RADV: usize = 0x282c;
/// Transmit ring: address, length in bytes, head, tail.
pub const TDBAL: usize = 0x3800;
/// See [`TDBAL`].
pub const TDLEN: usize = 0x3808;
/// See [`TDBAL`].
pub const TDH: usize = 0x3810;
/// See [`TDBAL`].
pub const TDT: usize = 0x3818;
/// Transmit interrupt delay.
pub const TIDV: usize = 0x3820;
/// Transmit descriptor control.
pub const TXDCTL: usize = 0x3828;
/// Frames with a bad check sequence; reading clears it, as all statistics.
pub const CRCERRS: usize = 0x4000;
/// Frames missed for want of buffers.
pub const MPC: usize = 0x4010;
/// Multicast table, 128 dwords.
pub const MTA: usize = 0x5200;
/// Receive address 0, low and high.
pub const RAL0: usize = 0x5400;
/// See [`RAL0`].
pub const RAH0: usize = 0x5404;

/// Dwords of the multicast table.
pub const MTA_DWORDS: usize = 128;
/// RAH: the address is one.
pub const RAH_VALID: u32 = 1 << 31;
/// TIPG for copper, as the manual gives it (8254x, 13.4.34).
pub const TIPG_COPPER: u32 = 10 | 8 << 10 | 6 << 20;
/// TCTL: collision threshold and distance for full duplex (8254x, 13.4.33).
pub const TCTL_COLLISIONS: u32 = 0x0f << 4 | 0x40 << 12;
/// TXDCTL of the PCI Express parts: write back each descriptor, thresholds in descriptors, and a bit that must be set (82574, 10.2.6.10).
pub const TXDCTL_EXPRESS: u32 = 1 << 16 | 1 << 24 | 1 << 22;

bitflags! {
    /// CTRL.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Ctrl: u32 {
        /// Link reset, of fibre parts.
        const LINK_RESET = 1 << 3;
        /// The speed is found out.
        const AUTO_SPEED = 1 << 5;
        /// Link up.
        const SET_LINK_UP = 1 << 6;
        /// Loss of signal is inverted.
        const INVERT_LOSS = 1 << 7;
        /// Reset; ends by itself.
        const RESET = 1 << 26;
        /// VLAN tags are taken out of frames.
        const VLAN = 1 << 30;
        /// The PHY is held in reset.
        const PHY_RESET = 1 << 31;
    }

    /// STATUS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u32 {
        /// The link is up.
        const LINK_UP = 1 << 1;
    }

    /// Interrupt causes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Cause: u32 {
        /// A transmit descriptor was written back.
        const SENT = 1 << 0;
        /// The link changed.
        const LINK = 1 << 2;
        /// Few receive descriptors are left.
        const FEW_BUFFERS = 1 << 4;
        /// A frame was missed.
        const OVERRUN = 1 << 6;
        /// A frame came.
        const RECEIVED = 1 << 7;
    }

    /// RCTL.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rctl: u32 {
        /// Receives.
        const ENABLE = 1 << 1;
        /// Every unicast frame.
        const ALL_UNICAST = 1 << 3;
        /// Every multicast frame.
        const ALL_MULTICAST = 1 << 4;
        /// Broadcasts.
        const BROADCAST = 1 << 15;
        /// The frame check sequence is taken off.
        const STRIP_CHECK = 1 << 26;
    }

    /// TCTL.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Tctl: u32 {
        /// Transmits.
        const ENABLE = 1 << 1;
        /// Short frames are padded.
        const PAD = 1 << 3;
    }

    /// A transmit descriptor's command.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u8 {
        /// The frame ends here.
        const END = 1 << 0;
        /// Add a frame check sequence.
        const CHECK = 1 << 1;
        /// Insert a checksum; in a data descriptor: cut the frame.
        const SUM = 1 << 2;
        /// Tell when it is done.
        const REPORT = 1 << 3;
        /// It is no legacy descriptor.
        const EXTENDED = 1 << 5;
    }

    /// A data descriptor's options.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Options: u8 {
        /// Insert the IP header's checksum.
        const NETWORK_SUM = 1 << 0;
        /// Insert the transport checksum.
        const TRANSPORT_SUM = 1 << 1;
    }

    /// A receive descriptor's status; its lowest bit is that of a transmit descriptor as well.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Done: u8 {
        /// The card is done with it.
        const DONE = 1 << 0;
        /// The frame ends here.
        const END = 1 << 1;
    }
}

/// A data descriptor's type, in its third dword.
pub const TYPE_DATA: u32 = 1 << 20;
/// A context descriptor's third dword: it is extended, and tells when it is done.
pub const CONTEXT_COMMAND: u32 = 1 << 29 | 1 << 27;
/// The same: frames are of TCP.
pub const CONTEXT_TCP: u32 = 1 << 24;
/// The same: they are of IPv4.
pub const CONTEXT_IP4: u32 = 1 << 25;
/// The same: they are to be cut.
pub const CONTEXT_CUT: u32 = 1 << 26;

/// Bytes of a descriptor of either ring.
pub const DESCRIPTOR_BYTES: usize = 16;
/// Receive descriptor: length.
pub const RX_LENGTH: usize = 8;
/// Receive descriptor: status.
pub const RX_STATUS: usize = 12;
/// Receive descriptor: errors; any bit means a damaged frame.
pub const RX_ERRORS: usize = 13;
/// Receive errors that concern the frame as a whole: CRC, symbol, sequence, receive data (8254x, 3.2.3.2). The others are of checksums,
/// which nobody was asked to look at.
pub const RX_DAMAGED: u8 = 0b1001_0111;
/// Transmit descriptor: status.
pub const TX_STATUS: usize = 12;
