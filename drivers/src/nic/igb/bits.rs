//! Registers and descriptors of the 82575, 82576, 82580, I210, I211 and I350 (82576 data sheet, revision 2.9, chapters 7 and 8; I210 data sheet,
//! revision 3.5; I350 data sheet, revision 2.4).

pub use crate::nic::intel::bits::*;

/// Extended interrupt mode: what is set here has each read of the causes clear them.
pub const GPIE: usize = 0x1514;
/// Interrupt cause. Here and at the next three, the place that the 8254x had them: the chips answer at 1500h and on as well (82576, 8.1.3), but
/// QEMU's does not.
pub const ICR: usize = 0xc0;
/// Interrupt mask: ones set.
pub const IMS: usize = 0xd0;
/// Interrupt mask: ones clear.
pub const IMC: usize = 0xd8;
/// Causes that mask themselves when the cause register is read.
pub const IAM: usize = 0xe0;
/// Extended interrupt mask: ones clear.
pub const EIMC: usize = 0x1528;
/// Time between interrupts of the first vector, which is the only one without MSI-X.
pub const EITR: usize = 0x1680;
/// Split and replication: how receive buffers are.
pub const SRRCTL: usize = 0x280c;
/// DMA coalescing.
pub const DMACR: usize = 0x2508;
/// Checksums of received frames.
pub const RXCSUM: usize = 0x5000;
/// The longest frame with its check sequence, where long ones are let in.
pub const RLPML: usize = 0x5004;
/// Several queues.
pub const MRQC: usize = 0x5818;
/// Virtual machine queues.
pub const VT_CTL: usize = 0x581c;

/// GPIE: reading clears causes.
pub const GPIE_READ_CLEARS: u32 = 1 << 0;
/// EITR: where the time in microseconds is (8.8.14).
pub const EITR_US_SHIFT: u32 = 2;
/// EITR: the time that is running now goes on.
pub const EITR_RUNS_ON: u32 = 1 << 31;
/// EITR of the 82575: where the time that is running now is, in the same units.
pub const EITR_NOW_SHIFT: u32 = 16;
/// SRRCTL: advanced descriptors with one buffer. The lowest bits are its length in KiB.
pub const SRRCTL_ADVANCED: u32 = 1 << 25;
/// RXDCTL and TXDCTL: the ring is on.
pub const RING_ENABLE: u32 = 1 << 25;
/// RXDCTL: thresholds of fetching (8 left, 8 free) and writing back (each).
pub const RXDCTL_THRESHOLDS: u32 = 8 | 8 << 8 | 1 << 16;
/// TXDCTL: thresholds of fetching (8 left, 1 free) and writing back (each).
pub const TXDCTL_THRESHOLDS: u32 = 8 | 1 << 8 | 1 << 16;
/// RXCSUM: checksums of IP and of what it carries are looked at.
pub const RXCSUM_ON: u32 = 1 << 8 | 1 << 9;

/// Receive descriptor, written back: status and errors, length.
pub const RX_STATUS: usize = 8;
/// See [`RX_STATUS`].
pub const RX_LENGTH: usize = 12;
/// It is done; the frame ends here.
pub const RX_DONE: u32 = 1 << 0;
/// See [`RX_DONE`].
pub const RX_END: u32 = 1 << 1;
/// The checksum of TCP or UDP was looked at, and is wrong.
pub const RX_SUMMED: u32 = 1 << 5;
/// See [`RX_SUMMED`].
pub const RX_SUM_WRONG: u32 = 1 << 29;
/// The frame is damaged.
pub const RX_DAMAGED: u32 = 1 << 31;

/// Transmit descriptor, third dword: a context.
pub const CONTEXT: u32 = 2 << 20 | 1 << 29;
/// The same: it is IPv4; TCP.
pub const CONTEXT_IP4: u32 = 1 << 10;
/// See [`CONTEXT_IP4`].
pub const CONTEXT_TCP: u32 = 1 << 11;
/// Data: advanced, add a check sequence.
pub const DATA: u32 = 3 << 20 | 1 << 25 | 1 << 29;
/// The same: the frame ends here, and is told of when it is done.
pub const DATA_END: u32 = 1 << 24 | 1 << 27;
/// The same: cut it.
pub const DATA_CUT: u32 = 1 << 31;
/// Data, fourth dword: insert the IP header's checksum.
pub const OPTION_NETWORK_SUM: u32 = 1 << 8;
/// The same: the transport checksum.
pub const OPTION_TRANSPORT_SUM: u32 = 1 << 9;
/// The same: how much is to be sent, without headers where it is cut.
pub const PAYLOAD_SHIFT: u32 = 14;
/// Transmit descriptor, written back: it is done, in the fourth dword.
pub const TX_STATUS: usize = 12;
/// See [`TX_STATUS`].
pub const TX_DONE: u32 = 1 << 0;
