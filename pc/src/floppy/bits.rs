//! 82077AA registers and status bits (Intel 82077AA data sheet, order 290166: "Register description", "Status register
//! encoding").

/// Registers, as offsets from the first port (3F0h).
pub(super) const DIGITAL_OUTPUT: u16 = 2;
pub(super) const TAPE_DRIVE: u16 = 3;
/// Reads main status, writes data rate select.
pub(super) const STATUS: u16 = 4;
pub(super) const FIFO: u16 = 5;
/// Reads digital input, writes configuration control.
pub(super) const DIGITAL_INPUT: u16 = 7;

/// Digital output: drive, reset (active low), interrupt and DMA gate. Motors are in the upper half.
pub(super) const DOR_DRIVE: u8 = 0b11;
pub(super) const DOR_RUN: u8 = 1 << 2;
pub(super) const DOR_GATE: u8 = 1 << 3;

/// Data rate select: reset, which clears itself; data rate.
pub(super) const DSR_RESET: u8 = 1 << 7;
pub(super) const RATE: u8 = 0b11;

/// Main status: ready for the FIFO; its direction is to the system; execution without DMA; a command is under way.
pub(super) const MSR_READY: u8 = 1 << 7;
pub(super) const MSR_TO_SYSTEM: u8 = 1 << 6;
pub(super) const MSR_NON_DMA: u8 = 1 << 5;
pub(super) const MSR_BUSY: u8 = 1 << 4;

/// Digital input: the selected drive's disk change line.
pub(super) const DIR_CHANGED: u8 = 1 << 7;

/// Status 0.
pub(super) const ST0_ABNORMAL: u8 = 0b01 << 6;
pub(super) const ST0_INVALID: u8 = 0b10 << 6;
pub(super) const ST0_POLLED: u8 = 0b11 << 6;
pub(super) const ST0_SEEK_END: u8 = 1 << 5;
pub(super) const ST0_EQUIPMENT_CHECK: u8 = 1 << 4;
pub(super) const HEAD: u8 = 1 << 2;

/// Status 1.
pub(super) const ST1_END_OF_CYLINDER: u8 = 1 << 7;
pub(super) const ST1_DATA_ERROR: u8 = 1 << 5;
pub(super) const ST1_OVERRUN: u8 = 1 << 4;
pub(super) const ST1_NO_DATA: u8 = 1 << 2;
pub(super) const ST1_NOT_WRITABLE: u8 = 1 << 1;
pub(super) const ST1_MISSING_MARK: u8 = 1;

/// Status 2.
pub(super) const ST2_CONTROL_MARK: u8 = 1 << 6;
pub(super) const ST2_DATA_ERROR: u8 = 1 << 5;
pub(super) const ST2_WRONG_CYLINDER: u8 = 1 << 4;
pub(super) const ST2_BAD_CYLINDER: u8 = 1 << 1;

/// Status 3. Ready and two-sided are always 1.
pub(super) const ST3_PROTECTED: u8 = 1 << 6;
pub(super) const ST3_ALWAYS: u8 = 1 << 5 | 1 << 3;
pub(super) const ST3_TRACK_0: u8 = 1 << 4;

/// Commands: the low five bits, and flags above them.
pub(super) const READ_TRACK: u8 = 0x02;
pub(super) const SPECIFY: u8 = 0x03;
pub(super) const SENSE_DRIVE: u8 = 0x04;
pub(super) const WRITE: u8 = 0x05;
pub(super) const READ: u8 = 0x06;
pub(super) const RECALIBRATE: u8 = 0x07;
pub(super) const SENSE_INTERRUPT: u8 = 0x08;
pub(super) const WRITE_DELETED: u8 = 0x09;
pub(super) const READ_ID: u8 = 0x0a;
pub(super) const READ_DELETED: u8 = 0x0c;
pub(super) const FORMAT: u8 = 0x0d;
pub(super) const DUMP_REGISTERS: u8 = 0x0e;
pub(super) const SEEK: u8 = 0x0f;
pub(super) const VERSION: u8 = 0x10;
pub(super) const PERPENDICULAR: u8 = 0x12;
pub(super) const CONFIGURE: u8 = 0x13;
pub(super) const LOCK: u8 = 0x14;
pub(super) const VERIFY: u8 = 0x16;
pub(super) const CODE: u8 = 0x1f;
pub(super) const MULTI_TRACK: u8 = 1 << 7;
pub(super) const MFM: u8 = 1 << 6;
pub(super) const SKIP: u8 = 1 << 5;
/// RELATIVE SEEK: it is one, and its direction is inwards.
pub(super) const RELATIVE: u8 = 1 << 7;
pub(super) const INWARDS: u8 = 1 << 6;
/// LOCK: lock rather than unlock.
pub(super) const LOCK_ON: u8 = 1 << 7;
/// VERIFY: the last parameter counts sectors.
pub(super) const ENABLE_COUNT: u8 = 1 << 7;

/// The answer to VERSION: an enhanced controller.
pub(super) const ENHANCED: u8 = 0x90;

/// CONFIGURE: seek before each transfer; the FIFO is off; no drive polling.
pub(super) const IMPLIED_SEEK: u8 = 1 << 6;
pub(super) const FIFO_OFF: u8 = 1 << 5;
pub(super) const FIFO_THRESHOLD: u8 = 0xf;

/// All that CONFIGURE's third byte has.
pub(super) const CONFIGURE_OPTIONS: u8 = 0x7f;

/// PERPENDICULAR MODE: overwrite the drives' bits; those; gap length and write gate.
pub(super) const PERPENDICULAR_OVERWRITE: u8 = 1 << 7;
pub(super) const PERPENDICULAR_DRIVES: u8 = 0xf << 2;
pub(super) const PERPENDICULAR_GAP: u8 = 1 << 1;
pub(super) const PERPENDICULAR_WRITE: u8 = 1;

/// SPECIFY, third byte: no DMA.
pub(super) const NON_DMA: u8 = 1;
