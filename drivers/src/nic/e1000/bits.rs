//! Registers and descriptors of the 8254x and those that are programmed alike (PCI/PCI-X Family of Gigabit Ethernet Controllers Software
//! Developer's Manual, 8254x, revision 4.0, chapters 3 and 13; 82574 data sheet, revision 3.4, chapters 7 and 10).

pub use crate::nic::intel::bits::*;
use bitflags::bitflags;

/// Interrupt cause; reading clears it.
pub const ICR: usize = 0x00c0;
/// Interrupt throttling: the least time between two, in units of 256 ns; 0: none (8254x, 13.4.18). From the 82540 on.
pub const ITR: usize = 0x00c4;
/// Interrupt mask: ones set.
pub const IMS: usize = 0x00d0;
/// Interrupt mask: ones clear.
pub const IMC: usize = 0x00d8;
/// Transmit inter-packet gap.
pub const TIPG: usize = 0x0410;
/// Receive delay timer.
pub const RDTR: usize = 0x2820;
/// Receive absolute delay timer.
pub const RADV: usize = 0x282c;
/// Checksums of received frames.
pub const RXCSUM: usize = 0x5000;
/// Those of IP and of TCP and UDP are looked at (8254x, 13.4.27).
pub const RXCSUM_ON: u32 = 1 << 8 | 1 << 9;
/// Transmit interrupt delay.
pub const TIDV: usize = 0x3820;

/// TIPG for copper, as the manual gives it (8254x, 13.4.34).
pub const TIPG_COPPER: u32 = 10 | 8 << 10 | 6 << 20;
/// TXDCTL of the PCI Express parts: write back each descriptor, thresholds in descriptors, and a bit that must be set (82574, 10.2.6.10).
pub const TXDCTL_EXPRESS: u32 = 1 << 16 | 1 << 24 | 1 << 22;

bitflags! {
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
        /// Received: whatever it says of checksums means nothing.
        const UNSUMMED = 1 << 2;
        /// Received: the checksum of TCP was looked at.
        const SUMMED = 1 << 5;
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

/// Receive descriptor: length.
pub const RX_LENGTH: usize = 8;
/// Receive descriptor: status.
pub const RX_STATUS: usize = 12;
/// Receive descriptor: errors; any bit means a damaged frame.
pub const RX_ERRORS: usize = 13;
/// Receive errors that concern the frame as a whole: CRC, symbol, sequence, receive data (8254x, 3.2.3.2). The others are of checksums.
pub const RX_DAMAGED: u8 = 0b1001_0111;
/// The checksum of TCP or UDP is wrong; that of IP is.
pub const RX_SUM_WRONG: u8 = 0b0110_0000;
/// Transmit descriptor: status.
pub const TX_STATUS: usize = 12;
