//! Registers that Intel's gigabit Ethernet controllers have in common (PCI/PCI-X Family of Gigabit Ethernet Controllers Software
//! Developer's Manual, 8254x, revision 4.0, chapter 13; 82574 data sheet, revision 3.4, chapter 10; 82576 data sheet, revision 2.9,
//! chapter 8).

use bitflags::bitflags;

/// Bytes of registers that are used, from the first base address on.
pub const REGISTER_BYTES: u64 = 0x2_0000;

/// Device control.
pub const CTRL: usize = 0x0000;
/// Device status.
pub const STATUS: usize = 0x0008;
/// EEPROM read.
pub const EERD: usize = 0x0014;
/// Extended device control.
pub const CTRL_EXT: usize = 0x0018;
/// MDI control: the transceiver's registers.
pub const MDIC: usize = 0x0020;
/// Receive control.
pub const RCTL: usize = 0x0100;
/// Transmit control.
pub const TCTL: usize = 0x0400;
/// Receive ring: address, length in bytes, head, tail.
pub const RDBAL: usize = 0x2800;
/// See [`RDBAL`].
pub const RDLEN: usize = 0x2808;
/// See [`RDBAL`].
pub const RDH: usize = 0x2810;
/// See [`RDBAL`].
pub const RDT: usize = 0x2818;
/// Receive descriptor control.
pub const RXDCTL: usize = 0x2828;
/// Transmit ring: address, length in bytes, head, tail.
pub const TDBAL: usize = 0x3800;
/// See [`TDBAL`].
pub const TDLEN: usize = 0x3808;
/// See [`TDBAL`].
pub const TDH: usize = 0x3810;
/// See [`TDBAL`].
pub const TDT: usize = 0x3818;
/// Transmit descriptor control.
pub const TXDCTL: usize = 0x3828;
/// Frames with a bad check sequence; reading clears it, as all statistics.
pub const CRCERRS: usize = 0x4000;
/// Frames missed for want of buffers.
pub const MPC: usize = 0x4010;
/// Multicast table, 128 dwords.
pub const MTA: usize = 0x5200;
/// Receive address 0, low and high; the others follow.
pub const RAL0: usize = 0x5400;
/// See [`RAL0`].
pub const RAH0: usize = 0x5404;
/// Software semaphore, of PCI Express parts.
pub const SWSM: usize = 0x5b50;
/// What firmware is doing.
pub const FWSM: usize = 0x5b54;
/// Which part belongs to software or firmware.
pub const SW_FW_SYNC: usize = 0x5b5c;

/// Dwords of the multicast table.
pub const MTA_DWORDS: usize = 128;
/// RAH: the address is one.
pub const RAH_VALID: u32 = 1 << 31;
/// From a receive address to the next.
pub const RA_STEP: usize = 8;
/// TCTL: collision threshold and distance for full duplex (8254x, 13.4.33).
pub const TCTL_COLLISIONS: u32 = 0x0f << 4 | 0x40 << 12;
/// RCTL: buffers of 16 KiB, by the extended sizes.
pub const RCTL_BUFFERS_16K: u32 = 1 << 16 | 1 << 25;
/// STATUS: which port of the chip this is.
pub const STATUS_PORT: u32 = 0b11 << 2;
/// CTRL_EXT: a driver is there, for firmware.
pub const DRIVER_LOADED: u32 = 1 << 28;
/// EERD: start; done, of the 82540 and its kin.
pub const EERD_START: u32 = 1;
/// See [`EERD_START`].
pub const EERD_DONE: u32 = 1 << 4;

bitflags! {
    /// CTRL.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Ctrl: u32 {
        /// The card asks for no memory any more.
        const MASTER_OFF = 1 << 2;
        /// Link reset, of fibre parts.
        const LINK_RESET = 1 << 3;
        /// The speed is found out.
        const AUTO_SPEED = 1 << 5;
        /// Link up.
        const SET_LINK_UP = 1 << 6;
        /// Loss of signal is inverted.
        const INVERT_LOSS = 1 << 7;
        /// The speed is set by hand.
        const FORCE_SPEED = 1 << 11;
        /// The duplex is set by hand.
        const FORCE_DUPLEX = 1 << 12;
        /// PCH: the pin that powers the transceiver is set by hand, to the next bit.
        const PHY_POWER_BY_HAND = 1 << 16;
        /// See the one before.
        const PHY_POWER = 1 << 17;
        /// PCH: errors of memory are told.
        const MEMORY_ERRORS = 1 << 19;
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
        /// PCH: the configuration has been loaded.
        const LOADED = 1 << 9;
        /// PCH: the PHY was reset.
        const PHY_WAS_RESET = 1 << 10;
        /// The card may ask for memory.
        const MASTER = 1 << 19;
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
        /// Frames longer than everybody's.
        const LONG = 1 << 5;
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
}
