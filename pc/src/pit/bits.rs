//! 8254 control words (Intel 8254 data sheet, order 231164, "Control word format" and "Read-back command").

/// Control word: the counter in the top two bits; 3 is read-back.
pub(super) const SELECT_SHIFT: u8 = 6;
/// Read-back: clear to latch the count.
pub(super) const READ_BACK_NO_COUNT: u8 = 1 << 5;
/// Read-back: clear to latch the status.
pub(super) const READ_BACK_NO_STATUS: u8 = 1 << 4;
/// Control word: binary-coded decimal.
pub(super) const BCD: u8 = 1;
/// Control word: all that the status byte repeats.
pub(super) const CONTROL: u8 = 0x3f;
/// Status byte: level of OUT.
pub(super) const STATUS_OUT: u8 = 1 << 7;
/// Status byte: the count written is not in the counting element yet.
pub(super) const STATUS_NULL: u8 = 1 << 6;

/// Port 61h (82371SB data sheet, "NMI status and control register").
pub(super) const NMI_SC_GATE2: u8 = 1;
pub(super) const NMI_SC_SPEAKER: u8 = 1 << 1;
/// Port 61h: bits that software stores.
pub(super) const NMI_SC_WRITABLE: u8 = 0xf;
pub(super) const NMI_SC_REFRESH: u8 = 1 << 4;
pub(super) const NMI_SC_OUT2: u8 = 1 << 5;
