//! 8237A registers (Intel 8237A data sheet, order 231466; ports as in the 82371SB data sheet, "DMA registers").

/// Registers behind the channels' own eight.
pub(super) const COMMAND_STATUS: u8 = 0x8;
pub(super) const REQUEST: u8 = 0x9;
pub(super) const MASK_ONE: u8 = 0xa;
pub(super) const MODE: u8 = 0xb;
pub(super) const CLEAR_POINTER: u8 = 0xc;
pub(super) const MASTER_CLEAR: u8 = 0xd;
pub(super) const CLEAR_MASK: u8 = 0xe;
pub(super) const MASK_ALL: u8 = 0xf;

/// Command: the controller is off.
pub(super) const COMMAND_OFF: u8 = 1 << 2;

/// Mode: channel; transfer type; reload at the end; addresses go down; kind of service.
pub(super) const CHANNEL: u8 = 0b11;
pub(super) const TYPE: u8 = 0b11 << 2;
pub(super) const TYPE_WRITE: u8 = 0b01 << 2;
pub(super) const TYPE_READ: u8 = 0b10 << 2;
pub(super) const AUTOINITIALIZE: u8 = 1 << 4;
pub(super) const DOWN: u8 = 1 << 5;
pub(super) const SERVICE: u8 = 0b11 << 6;
pub(super) const SERVICE_CASCADE: u8 = 0b11 << 6;

/// Mask and request registers: set rather than clear.
pub(super) const SET: u8 = 1 << 2;

/// The page register of each channel, as an offset from 80h.
pub(super) const PAGES: [usize; 8] = [0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa];
