//! Numbers of the RTL8139C(L)+ and RTL8139C (Realtek's data sheets, chapters "Register Descriptions" and "C+ Mode").

use bitflags::bitflags;

/// PCI identification.
pub const VENDOR: u16 = 0x10ec;
/// See [`VENDOR`].
pub const DEVICE: u16 = 0x8139;
/// Bytes of registers.
pub const REGISTER_BYTES: u32 = 256;

/// Dwords of registers, by the offset of the first.
#[allow(missing_docs)]
pub mod register {
    pub const ID_LOW: u8 = 0x00;
    pub const ID_HIGH: u8 = 0x04;
    pub const MULTICAST_LOW: u8 = 0x08;
    pub const MULTICAST_HIGH: u8 = 0x0c;
    /// Four; in C+ mode the first two are the tally counters' address.
    pub const TRANSMIT_STATUS: u8 = 0x10;
    /// Four; in C+ mode the addresses of the two transmit rings.
    pub const TRANSMIT_ADDRESS: u8 = 0x20;
    pub const RECEIVE_START: u8 = 0x30;
    /// Early receive count and status, and the command register in the last byte.
    pub const COMMAND: u8 = 0x34;
    /// Where the driver and where the chip is in the receive ring.
    pub const RECEIVE_POINTERS: u8 = 0x38;
    /// Interrupt mask and status.
    pub const INTERRUPT: u8 = 0x3c;
    pub const TRANSMIT_CONFIG: u8 = 0x40;
    pub const RECEIVE_CONFIG: u8 = 0x44;
    pub const TIMER: u8 = 0x48;
    pub const MISSED: u8 = 0x4c;
    /// EEPROM command, CONFIG0, CONFIG1.
    pub const EEPROM: u8 = 0x50;
    pub const TIMER_INTERRUPT: u8 = 0x54;
    /// Media status, CONFIG3, CONFIG4.
    pub const MEDIA: u8 = 0x58;
    /// Multiple interrupt select, PCI revision.
    pub const MULTIPLE_INTERRUPT: u8 = 0x5c;
    /// Summary of the transmit slots, basic mode control.
    pub const SUMMARY: u8 = 0x60;
    /// Basic mode status, advertisement.
    pub const MODE_STATUS: u8 = 0x64;
    /// Link partner, expansion.
    pub const PARTNER: u8 = 0x68;
    pub const NWAY_TEST: u8 = 0x70;
    /// Chip status of the transceiver.
    pub const TRANSCEIVER: u8 = 0x74;
    /// From here the transceiver's tuning: PHY1_PARM, TW_PARM, PHY2_PARM, up to [`WAKE`].
    pub const TUNING: u8 = 0x78;
    /// From here wake-up registers, up to [`WAKE_END`].
    pub const WAKE: u8 = 0x84;
    pub const WAKE_END: u8 = 0xd4;
    /// CONFIG5, transmit poll.
    pub const CONFIG5: u8 = 0xd8;
    /// C+ command.
    pub const CPLUS: u8 = 0xe0;
    pub const RECEIVE_RING: u8 = 0xe4;
    pub const RECEIVE_RING_HIGH: u8 = 0xe8;
    pub const EARLY_TRANSMIT: u8 = 0xec;
}

bitflags! {
    /// The command register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u8 {
        /// Nothing is in the receive ring.
        const BUFFER_EMPTY = 1;
        /// The transmitter is on.
        const TRANSMIT = 1 << 2;
        /// The receiver is on.
        const RECEIVE = 1 << 3;
        /// Software reset; clears itself.
        const RESET = 1 << 4;
    }

    /// Interrupt status and mask.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Interrupt: u16 {
        /// A frame was received.
        const RECEIVED = 1;
        /// A frame was sent.
        const SENT = 1 << 2;
        /// A frame could not be sent.
        const NOT_SENT = 1 << 3;
        /// No room to receive; in C+ mode no descriptor.
        const RECEIVE_FULL = 1 << 4;
        /// The link changed.
        const LINK = 1 << 5;
        /// C+: no more descriptors to send.
        const TRANSMIT_EMPTY = 1 << 7;
        /// C+: the driver asked for it.
        const SOFTWARE = 1 << 8;
        /// The timer.
        const TIMER = 1 << 14;
        /// A transfer on the bus failed.
        const BUS_ERROR = 1 << 15;
    }

    /// Receive configuration.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ReceiveConfig: u32 {
        /// All stations' addresses.
        const ALL_STATIONS = 1;
        /// The card's own.
        const OWN = 1 << 1;
        /// Groups, by hash.
        const MULTICAST = 1 << 2;
        /// Broadcast.
        const BROADCAST = 1 << 3;
        /// Frames run past the end of the ring instead of on at its start.
        const NO_WRAP = 1 << 7;

        const _ = !0;
    }

    /// C+ command.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CPlus: u16 {
        /// Transmit rings.
        const TRANSMIT = 1;
        /// Receive ring.
        const RECEIVE = 1 << 1;
        /// Long bursts.
        const MULTIPLE = 1 << 3;
        /// Addresses of 64 bits.
        const DUAL_ADDRESS = 1 << 4;
        /// Checksums of received frames are judged.
        const RECEIVE_CHECKSUM = 1 << 5;
        /// VLAN tags are taken out of received frames.
        const RECEIVE_VLAN = 1 << 6;
    }
}

impl ReceiveConfig {
    /// Bytes of the receive ring: 8 KiB and up (RBLEN).
    pub fn ring_bytes(self) -> u32 {
        0x2000 << (self.bits() >> 11 & 3)
    }
}

/// What may be written of the transmit configuration: inter-frame gap, loopback, no CRC, burst and retry counts.
pub const TRANSMIT_CONFIG_WRITABLE: u32 = 0x030f_07f0;
/// Both loopback bits: frames go to the receiver, not to the wire.
pub const LOOPBACK: u32 = 3 << 17;
/// What may be written of the receive configuration.
pub const RECEIVE_CONFIG_WRITABLE: u32 = 0x0f03_ffbf;

/// A transmit slot's status.
pub mod slot {
    /// Length of the frame.
    pub const SIZE: u32 = 0x1fff;
    /// The slot is the driver's again.
    pub const OWN: u32 = 1 << 13;
    /// It was sent.
    pub const SENT: u32 = 1 << 15;
    /// The early transmit threshold.
    pub const THRESHOLD: u32 = 0x3f << 16;
    /// It was given up.
    pub const ABORTED: u32 = 1 << 30;
    /// The longest frame.
    pub const MAX_BYTES: u32 = 0x700;
}

/// Status in front of a frame in the receive ring.
pub mod receive {
    /// Fine.
    pub const OK: u16 = 1;
    /// For all.
    pub const BROADCAST: u16 = 1 << 13;
    /// For the card's own address.
    pub const OWN: u16 = 1 << 14;
    /// For a group.
    pub const MULTICAST: u16 = 1 << 15;
}

/// The first dword of C+ descriptors.
pub mod descriptor {
    /// Bytes of one.
    pub const BYTES: u64 = 16;
    /// Most in a ring.
    pub const MAX: usize = 64;
    /// It is the chip's.
    pub const OWN: u32 = 1 << 31;
    /// The ring ends with it.
    pub const END: u32 = 1 << 30;
    /// A frame's first.
    pub const FIRST: u32 = 1 << 29;
    /// A frame's last.
    pub const LAST: u32 = 1 << 28;

    /// Transmit: cut the frame.
    pub const LARGE_SEND: u32 = 1 << 27;
    /// Transmit: where the largest payload of a piece stands, and its mask.
    pub const SEGMENT_SHIFT: u32 = 16;
    /// See [`SEGMENT_SHIFT`].
    pub const SEGMENT_MASK: u32 = 0x7ff;
    /// Transmit: compute the checksum of the IP header.
    pub const IP_CHECKSUM: u32 = 1 << 18;
    /// Transmit: of UDP.
    pub const UDP_CHECKSUM: u32 = 1 << 17;
    /// Transmit: of TCP.
    pub const TCP_CHECKSUM: u32 = 1 << 16;
    /// Transmit: bytes of the buffer.
    pub const TRANSMIT_SIZE: u32 = 0xffff;
    /// Transmit, second dword: put a tag in.
    pub const INSERT_TAG: u32 = 1 << 17;

    /// Receive: for a group.
    pub const MULTICAST: u32 = 1 << 26;
    /// Receive: for the card's own address.
    pub const STATION: u32 = 1 << 25;
    /// Receive: for all.
    pub const BROADCAST: u32 = 1 << 24;
    /// Receive: IP.
    pub const IS_IP: u32 = 3 << 16;
    /// Receive: UDP over IP.
    pub const IS_UDP: u32 = 2 << 16;
    /// Receive: TCP over IP.
    pub const IS_TCP: u32 = 1 << 16;
    /// Receive: the checksum of the IP header is wrong.
    pub const IP_FAILED: u32 = 1 << 15;
    /// Receive: bytes of the buffer, and then of the frame.
    pub const RECEIVE_SIZE: u32 = 0x1fff;
    /// Receive, second dword: a tag was taken out.
    pub const TAG_TAKEN: u32 = 1 << 16;
}

/// Transmit poll: the ring of high priority, and the other.
pub const POLL_HIGH: u8 = 1 << 7;
/// See [`POLL_HIGH`].
pub const POLL_NORMAL: u8 = 1 << 6;
/// Transmit poll: interrupt by software.
pub const POLL_SOFTWARE: u8 = 1;

/// Tally counters' address: dump them.
pub const DUMP: u64 = 1 << 3;

/// Bytes of the frame check sequence.
pub const CRC_BYTES: usize = 4;
/// The shortest frame on a wire, without it.
pub const MIN_FRAME_BYTES: usize = 60;
