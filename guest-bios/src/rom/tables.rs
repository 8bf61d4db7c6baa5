//! Tables of constants at IBM's addresses.

/// Offset of the system configuration table (INT 15h function C0h).
pub const CONFIGURATION_TABLE: u16 = 0xe6f5;
/// Offset of the diskette parameter table (INT 1Eh).
pub const DISKETTE_TABLE: u16 = 0xefc7;

/// The model byte of an AT.
pub const MODEL_AT: u8 = 0xfc;

/// Length, model, submodel, revision, features: cascaded PIC, clock, keyboard intercept, EBDA; INT 16h function 09h.
pub const CONFIGURATION: [u8; 10] = [8, 0, MODEL_AT, 0, 1, 0x74, 0x40, 0, 0, 0];

/// For diskettes of 1.44 MB: step rate and head times, motor off after 37 ticks, 512 bytes, 18 sectors, gaps, data
/// length, format gap and filler, settling time, motor start.
pub const DISKETTE: [u8; 11] = [
    0xaf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08,
];
