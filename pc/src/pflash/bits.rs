//! Commands and status bits of Intel's command set (Intel 28F640J5 StrataFlash data sheet, order 290606, tables 4 and 7;
//! "Common flash interface and command sets", Intel application note AP-646).

pub(super) const READ_ARRAY: u8 = 0xff;
/// The reset command of the other command set: detection code writes it, and read mode is meant.
pub(super) const READ_ARRAY_AMD: u8 = 0xf0;
pub(super) const READ_ID: u8 = 0x90;
pub(super) const READ_QUERY: u8 = 0x98;
pub(super) const READ_STATUS: u8 = 0x70;
pub(super) const CLEAR_STATUS: u8 = 0x50;
pub(super) const PROGRAM: u8 = 0x40;
pub(super) const PROGRAM_ALIAS: u8 = 0x10;
pub(super) const WRITE_TO_BUFFER: u8 = 0xe8;
pub(super) const ERASE: u8 = 0x20;
pub(super) const LOCK: u8 = 0x60;
pub(super) const CONFIRM: u8 = 0xd0;
/// After LOCK: set the block's lock bit. Confirm clears all of them.
pub(super) const SET_LOCK: u8 = 0x01;

/// Status: ready; errors in erasing and in programming, both for a wrong sequence; the block is locked.
pub(super) const READY: u8 = 1 << 7;
pub(super) const ERASE_ERROR: u8 = 1 << 5;
pub(super) const PROGRAM_ERROR: u8 = 1 << 4;
pub(super) const LOCKED: u8 = 1 << 1;

/// Intel; a device of this family.
pub(super) const MANUFACTURER: u8 = 0x89;
pub(super) const DEVICE: u8 = 0x18;

/// The write buffer, and its size's logarithm.
pub(super) const BUFFER_SHIFT: u8 = 8;
pub(super) const BUFFER_BYTES: usize = 1 << BUFFER_SHIFT;
