//! 8259A command words (Intel 8259A data sheet, order 231468, "Initialization command word format" and "Operation command word format").

/// Written to A0 = 0 with this bit, a byte is ICW1.
pub(super) const ICW1: u8 = 1 << 4;
/// ICW1: ICW4 follows.
pub(super) const ICW1_IC4: u8 = 1;
/// ICW1: single chip, no ICW3.
pub(super) const ICW1_SINGLE: u8 = 1 << 1;
/// ICW2: bits that the chip does not supply itself.
pub(super) const ICW2_BASE: u8 = 0xf8;
/// ICW4: automatic end of interrupt.
pub(super) const ICW4_AEOI: u8 = 1 << 1;
/// ICW4: special fully nested mode.
pub(super) const ICW4_SFNM: u8 = 1 << 4;
/// Written to A0 = 0 with this bit and not that of ICW1, a byte is OCW3; with neither it is OCW2.
pub(super) const OCW3: u8 = 1 << 3;
/// OCW3: read-register command in the low two bits.
pub(super) const OCW3_READ: u8 = 1 << 1;
/// OCW3: in-service rather than request register.
pub(super) const OCW3_READ_ISR: u8 = 1;
/// OCW3: poll.
pub(super) const OCW3_POLL: u8 = 1 << 2;
/// OCW3: special mask mode in bit 5 counts.
pub(super) const OCW3_SET_SPECIAL: u8 = 1 << 6;
/// OCW3: special mask mode.
pub(super) const OCW3_SPECIAL: u8 = 1 << 5;
/// Poll word: an interrupt is there.
pub(super) const POLL_PENDING: u8 = 1 << 7;
