//! Registers of Realtek's RTL8139 (RTL8139C(L) data sheet, revision 1.6; RTL8139 programming guide, version 0.1).

use bitflags::bitflags;

/// Realtek.
pub const VENDOR: u16 = 0x10ec;
/// RTL8139, of all revisions.
pub const DEVICE: u16 = 0x8139;
/// Bytes of registers.
pub const REGISTER_BYTES: u64 = 0x100;
/// The base address register of registers in memory.
pub const REGISTER_BASE: u8 = 1;

/// Station address, six bytes.
pub const ID: usize = 0x00;
/// Multicast filter, eight bytes.
pub const MULTICAST: usize = 0x08;
/// Status of four transmit slots, a dword each.
pub const TRANSMIT_STATUS: usize = 0x10;
/// Address of each slot's frame.
pub const TRANSMIT_ADDRESS: usize = 0x20;
/// Address of the receive ring.
pub const RECEIVE_START: usize = 0x30;
/// Command.
pub const COMMAND: usize = 0x37;
/// How far the driver has read, less 16.
pub const RECEIVE_POINTER: usize = 0x38;
/// Interrupt mask.
pub const INTERRUPT_MASK: usize = 0x3c;
/// Interrupt status; ones clear.
pub const INTERRUPT_STATUS: usize = 0x3e;
/// Transmit configuration.
pub const TRANSMIT_CONFIG: usize = 0x40;
/// Receive configuration.
pub const RECEIVE_CONFIG: usize = 0x44;
/// Frames missed; any write clears it.
pub const MISSED: usize = 0x4c;
/// EEPROM command: what may be written.
pub const EEPROM_COMMAND: usize = 0x50;
/// Configuration 1: sleep, of the oldest chips.
pub const CONFIG1: usize = 0x52;
/// Media status.
pub const MEDIA_STATUS: usize = 0x58;

/// Media status: no link.
pub const LINK_BAD: u8 = 1 << 2;
/// EEPROM command: configuration registers may be written.
pub const UNLOCKED: u8 = 0xc0;
/// Transmit configuration: bursts of any length (MXDMA 7), and the usual gap between frames.
pub const TRANSMIT_CONFIG_USUAL: u32 = 0x0300_0700;
/// Transmit configuration: the frame that was given up is tried again. Until then the transmitter stands still.
pub const CLEAR_ABORT: u32 = 1 << 0;
/// Receive configuration: every frame, a ring of 32 KiB + 16 (RBLEN 2), frames in one piece behind its end (WRAP), bursts of any length, no
/// threshold.
pub const RECEIVE_CONFIG_ALL: u32 = 0b1111 | 1 << 7 | 7 << 8 | 2 << 11 | 7 << 13;
/// Receive configuration: everybody's frames.
pub const ACCEPT_ALL: u32 = 1 << 0;
/// Bytes of that ring, without its tail.
pub const RING_BYTES: usize = 0x8000;
/// The tail: 16 bytes, and room for a frame that begins just before the end.
pub const TAIL_BYTES: usize = 16 + 2048;
/// How far the driver's pointer is behind what it has read.
pub const POINTER_BIAS: u16 = 16;
/// Transmit slots.
pub const SLOTS: usize = 4;
/// The longest frame that a slot takes (TSD, SIZE: beyond it the FIFO underruns).
pub const MAX_FRAME_BYTES: usize = 1792;
/// The shortest frame of the wire, without its check sequence: the chip does not pad.
pub const MIN_FRAME_BYTES: usize = 60;

bitflags! {
    /// Command.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u8 {
        /// Nothing is in the receive ring.
        const EMPTY = 1 << 0;
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
        /// The ring is full.
        const RING_FULL = 1 << 4;
        /// The link changed, or a frame did not come in time.
        const LINK = 1 << 5;
        /// The FIFO is full.
        const FIFO_FULL = 1 << 6;
        /// A transfer on the bus failed.
        const BUS_ERROR = 1 << 15;
    }

    /// A slot's status.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Slot: u32 {
        /// The chip has read the frame; it may yet read it again.
        const READ = 1 << 13;
        /// It was sent, though the bus was too slow at first.
        const UNDERRUN = 1 << 14;
        /// It was sent.
        const SENT = 1 << 15;
        /// It was given up, after collisions.
        const ABORTED = 1 << 30;
        /// It starts when so many bytes are in the FIFO, in units of 32.
        const THRESHOLD_256 = 8 << 16;
    }

    /// What stands before a received frame.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Received: u16 {
        /// It is whole.
        const OK = 1 << 0;
    }
}
