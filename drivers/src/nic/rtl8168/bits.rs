//! Registers and descriptors of Realtek's RTL8168 and RTL8111 (RTL8111B/RTL8168B registers data sheet, revision 1.0; RTL8168C to RTL8168H, as
//! their data sheets and the makers' own driver sources tell of registers).

use bitflags::bitflags;

/// Realtek.
pub const VENDOR: u16 = 0x10ec;
/// RTL8168 and RTL8111, of all versions.
pub const DEVICES: [u16; 2] = [0x8168, 0x8161];
/// Bytes of registers.
pub const REGISTER_BYTES: u64 = 0x100;
/// The base address register of registers in memory.
pub const REGISTER_BASE: u8 = 2;

/// Station address, six bytes; written as dwords, the upper first.
pub const ID: usize = 0x00;
/// Multicast filter, eight bytes.
pub const MULTICAST: usize = 0x08;
/// The transmit ring.
pub const TRANSMIT_RING: usize = 0x20;
/// Command.
pub const COMMAND: usize = 0x37;
/// Has the ring looked at.
pub const POLL: usize = 0x38;
/// Interrupt mask.
pub const INTERRUPT_MASK: usize = 0x3c;
/// Interrupt status; ones clear.
pub const INTERRUPT_STATUS: usize = 0x3e;
/// Transmit configuration, with the version.
pub const TRANSMIT_CONFIG: usize = 0x40;
/// Receive configuration.
pub const RECEIVE_CONFIG: usize = 0x44;
/// Frames missed.
pub const MISSED: usize = 0x4c;
/// EEPROM command: what may be written.
pub const EEPROM_COMMAND: usize = 0x50;
/// Configuration 3 and 4: jumbo frames.
pub const CONFIG3: usize = 0x54;
/// See [`CONFIG3`].
pub const CONFIG4: usize = 0x55;
/// The transceiver's registers.
pub const PHY_ACCESS: usize = 0x60;
/// The transceiver's status.
pub const PHY_STATUS: usize = 0x6c;
/// Power of its clocks.
pub const CLOCK_POWER: usize = 0x6f;
/// Registers behind registers: data, address.
pub const EXTENDED_DATA: usize = 0x70;
/// See [`EXTENDED_DATA`].
pub const EXTENDED_ACCESS: usize = 0x74;
/// The transceiver's registers, of the RTL8168G and later.
pub const PHY_ACCESS_G: usize = 0xb8;
/// The longest frame to be received.
pub const RECEIVE_MOST: usize = 0xda;
/// C+ command.
pub const CPLUS: usize = 0xe0;
/// Interrupt mitigation.
pub const MITIGATION: usize = 0xe2;
/// The receive ring.
pub const RECEIVE_RING: usize = 0xe4;
/// The longest frame to be sent, in 128 bytes.
pub const TRANSMIT_MOST: usize = 0xec;
/// Miscellaneous: the gate in front of the receiver.
pub const MISCELLANEOUS: usize = 0xf0;

/// Transmit configuration: the version's bits, and where they stand.
pub const VERSION_MASK: u32 = 0x7cf;
/// See [`VERSION_MASK`].
pub const VERSION_SHIFT: u32 = 20;
/// EEPROM command: configuration registers may be written.
pub const UNLOCKED: u8 = 0xc0;
/// Poll: the normal ring.
pub const POLL_NORMAL: u8 = 0x40;
/// Transmit configuration: bursts of any length, and the usual gap between frames.
pub const TRANSMIT_CONFIG_USUAL: u32 = 3 << 24 | 7 << 8;
/// The same: thresholds follow the frames.
pub const TRANSMIT_CONFIG_AUTO: u32 = 1 << 7;
/// Receive configuration: bursts of any length.
pub const RECEIVE_BURSTS: u32 = 7 << 8;
/// The same: no threshold of the FIFO.
pub const RECEIVE_NO_THRESHOLD: u32 = 7 << 13;
/// The same: several descriptors are fetched at once; interrupts wait for 128 bytes; no early ones.
pub const RECEIVE_MULTIPLE: u32 = 1 << 14;
/// See [`RECEIVE_MULTIPLE`].
pub const RECEIVE_128: u32 = 1 << 15;
/// See [`RECEIVE_MULTIPLE`].
pub const RECEIVE_EARLY_OFF: u32 = 1 << 11;
/// Receive configuration: everybody's frames, the station's own, groups', broadcasts.
pub const ACCEPT_ALL: u32 = 1 << 0;
/// See [`ACCEPT_ALL`].
pub const ACCEPT_USUAL: u32 = 1 << 1 | 1 << 2 | 1 << 3;
/// What may be accepted at all.
pub const ACCEPT_MASK: u32 = 0x3f;
/// C+ command: checksums of received frames are looked at.
pub const CPLUS_SUMS: u16 = 1 << 5;
/// C+ command: what stays as it was: registers of the host's bus.
pub const CPLUS_KEPT: u16 = 1 << 3 | 1 << 4;
/// The transceiver's status: link.
pub const LINK_OK: u8 = 1 << 1;
/// Registers behind registers: an access that writes has begun, one that reads has ended.
pub const FLAG: u32 = 1 << 31;
/// [`EXTENDED_ACCESS`]: all four bytes.
pub const EXTENDED_ALL: u32 = 0xf << 12;
/// Behind it: thresholds of FIFOs, the filter of packets, the station's address, power.
pub const EXTENDED_RECEIVE_FIFO: u32 = 0xc8;
/// See [`EXTENDED_RECEIVE_FIFO`].
pub const EXTENDED_TRANSMIT_FIFO: u32 = 0xe8;
/// See [`EXTENDED_RECEIVE_FIFO`].
pub const EXTENDED_FILTER: u32 = 0xdc;
/// See [`EXTENDED_RECEIVE_FIFO`].
pub const EXTENDED_ID: u32 = 0xe0;
/// See [`EXTENDED_RECEIVE_FIFO`].
pub const EXTENDED_POWER: u32 = 0x1a8;
/// The parts of [`EXTENDED_POWER`] that must have power.
pub const EXTENDED_POWER_ON: u32 = 0xfc00_0000;
/// The gate in front of the receiver is shut.
pub const GATE_SHUT: u32 = 1 << 19;

bitflags! {
    /// Command.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u8 {
        /// The transmitter is on.
        const TRANSMIT = 1 << 2;
        /// The receiver is on.
        const RECEIVE = 1 << 3;
        /// Reset; ends by itself.
        const RESET = 1 << 4;
    }

    /// Interrupt status and mask.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Interrupt: u16 {
        /// A frame came.
        const RECEIVED = 1 << 0;
        /// A damaged one did.
        const DAMAGED = 1 << 1;
        /// A frame is sent.
        const SENT = 1 << 2;
        /// A frame could not be sent.
        const NOT_SENT = 1 << 3;
        /// No descriptor is left.
        const NO_BUFFER = 1 << 4;
        /// The link changed.
        const LINK = 1 << 5;
        /// The FIFO is full.
        const FIFO_FULL = 1 << 6;
        /// A transfer on the bus failed.
        const BUS_ERROR = 1 << 15;
    }
}

/// Bytes of a descriptor of either ring: two dwords of options, an address.
pub const DESCRIPTOR_BYTES: usize = 16;
/// It is the chip's.
pub const OWN: u32 = 1 << 31;
/// The ring ends with it.
pub const END: u32 = 1 << 30;
/// A frame's first.
pub const FIRST: u32 = 1 << 29;
/// A frame's last.
pub const LAST: u32 = 1 << 28;
/// Receive: bytes, with the check sequence.
pub const LENGTH: u32 = 0x3fff;
/// Receive: the frame is damaged.
pub const DAMAGED: u32 = 1 << 21;
/// Receive: it is TCP, UDP; and the checksums of IP, UDP, TCP are wrong.
pub const IS_TCP: u32 = 1 << 17;
/// See [`IS_TCP`].
pub const IS_UDP: u32 = 1 << 18;
/// See [`IS_TCP`].
pub const SUM_WRONG: u32 = 1 << 14 | 1 << 15 | 1 << 16;

/// Transmit, the RTL8168B's, first dword: cut; where the most of a piece's payload stands.
pub const OLD_CUT: u32 = 1 << 27;
/// See [`OLD_CUT`].
pub const OLD_SEGMENT_SHIFT: u32 = 16;
/// The same: checksums of IP, UDP, TCP.
pub const OLD_IP_SUM: u32 = 1 << 18;
/// See [`OLD_IP_SUM`].
pub const OLD_UDP_SUM: u32 = 1 << 17;
/// See [`OLD_IP_SUM`].
pub const OLD_TCP_SUM: u32 = 1 << 16;
/// Transmit, later chips', first dword: cut IPv4, IPv6; where TCP starts.
pub const CUT_4: u32 = 1 << 26;
/// See [`CUT_4`].
pub const CUT_6: u32 = 1 << 25;
/// See [`CUT_4`].
pub const CUT_START_SHIFT: u32 = 18;
/// Second dword: where the transport starts, or the most of a piece's payload.
pub const START_SHIFT: u32 = 18;
/// The same: checksums of what is in IPv6, IPv4; of TCP, UDP.
pub const SUM_6: u32 = 1 << 28;
/// See [`SUM_6`].
pub const SUM_4: u32 = 1 << 29;
/// See [`SUM_6`].
pub const TCP_SUM: u32 = 1 << 30;
/// See [`SUM_6`].
pub const UDP_SUM: u32 = 1 << 31;
