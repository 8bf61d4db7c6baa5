//! Sense data: why a packet command did not do what it should (SPC-2, 7.20; MMC-3, annex on sense codes).

use serde::{Deserialize, Serialize};

/// Sense key, additional code and its qualifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sense {
    key: u8,
    code: u8,
    qualifier: u8,
}

const NOT_READY: u8 = 2;
const MEDIUM_ERROR: u8 = 3;
const ILLEGAL_REQUEST: u8 = 5;
const UNIT_ATTENTION: u8 = 6;

impl Sense {
    pub(super) const NONE: Self = Self::new(0, 0, 0);
    pub(super) const TRAY_EMPTY: Self = Self::new(NOT_READY, 0x3a, 1);
    pub(super) const TRAY_OPEN: Self = Self::new(NOT_READY, 0x3a, 2);
    pub(super) const INCOMPATIBLE_MEDIUM: Self = Self::new(NOT_READY, 0x30, 0);
    pub(super) const UNRECOVERED_READ: Self = Self::new(MEDIUM_ERROR, 0x11, 0);
    pub(super) const PARAMETER_LENGTH: Self = Self::new(ILLEGAL_REQUEST, 0x1a, 0);
    pub(super) const INVALID_OPCODE: Self = Self::new(ILLEGAL_REQUEST, 0x20, 0);
    pub(super) const OUT_OF_RANGE: Self = Self::new(ILLEGAL_REQUEST, 0x21, 0);
    pub(super) const INVALID_FIELD: Self = Self::new(ILLEGAL_REQUEST, 0x24, 0);
    pub(super) const WRONG_FORMAT: Self = Self::new(ILLEGAL_REQUEST, 0x30, 2);
    pub(super) const INVALID_PARAMETER: Self = Self::new(ILLEGAL_REQUEST, 0x26, 0);
    pub(super) const NO_SAVED_PAGES: Self = Self::new(ILLEGAL_REQUEST, 0x39, 0);
    pub(super) const REMOVAL_PREVENTED: Self = Self::new(ILLEGAL_REQUEST, 0x53, 2);
    pub(super) const WRONG_TRACK_MODE: Self = Self::new(ILLEGAL_REQUEST, 0x64, 0);
    pub(super) const MEDIUM_CHANGED: Self = Self::new(UNIT_ATTENTION, 0x28, 0);
    pub(super) const RESET: Self = Self::new(UNIT_ATTENTION, 0x29, 0);

    const fn new(key: u8, code: u8, qualifier: u8) -> Self {
        Self {
            key,
            code,
            qualifier,
        }
    }

    /// The error register of a failed packet command: the key in its upper half (ATA/ATAPI-6, 8.24.5).
    pub(super) fn error_register(self) -> u8 {
        self.key << 4
    }

    /// The fixed format, for REQUEST SENSE.
    pub(super) fn to_bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        // Current error, in the fixed format; 10 bytes follow the eighth.
        bytes[0] = 0x70;
        bytes[2] = self.key & 0xf;
        bytes[7] = 10;
        bytes[12] = self.code;
        bytes[13] = self.qualifier;
        bytes
    }
}
