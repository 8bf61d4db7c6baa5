//! Packet commands and their fields (INF-8020i/SFF-8020i revision 2.6; MMC-3, INCITS 360-2002; MMC-5).

/// Bytes of a command packet.
pub(super) const PACKET_BYTES: usize = 12;
/// Bytes of user data in a block.
pub(super) const BLOCK_BYTES: usize = 2048;
/// Sectors of the back end in a block.
pub(super) const BLOCK_SECTORS: u64 = 4;
/// Blocks of an 80-minute CD: a larger image must be a DVD's.
pub(super) const CD_BLOCKS: u32 = 80 * 60 * 75;

/// PACKET, features register: data by DMA (ATA/ATAPI-6, 8.24).
pub(super) const FEATURES_DMA: u8 = 1;
/// PACKET, features register: release the bus meanwhile, which is not offered.
pub(super) const FEATURES_OVERLAPPED: u8 = 1 << 1;

/// Operation codes.
pub(super) mod opcode {
    pub const TEST_UNIT_READY: u8 = 0x00;
    pub const REQUEST_SENSE: u8 = 0x03;
    pub const INQUIRY: u8 = 0x12;
    pub const MODE_SELECT_6: u8 = 0x15;
    pub const MODE_SENSE_6: u8 = 0x1a;
    pub const START_STOP_UNIT: u8 = 0x1b;
    pub const PREVENT_ALLOW: u8 = 0x1e;
    pub const READ_CAPACITY: u8 = 0x25;
    pub const READ_10: u8 = 0x28;
    pub const SEEK_10: u8 = 0x2b;
    pub const READ_TOC: u8 = 0x43;
    pub const GET_CONFIGURATION: u8 = 0x46;
    pub const GET_EVENT_STATUS: u8 = 0x4a;
    pub const READ_DISC_INFORMATION: u8 = 0x51;
    pub const READ_TRACK_INFORMATION: u8 = 0x52;
    pub const MODE_SELECT_10: u8 = 0x55;
    pub const MODE_SENSE_10: u8 = 0x5a;
    pub const READ_12: u8 = 0xa8;
    pub const READ_DVD_STRUCTURE: u8 = 0xad;
    pub const READ_CD_MSF: u8 = 0xb9;
    pub const SET_CD_SPEED: u8 = 0xbb;
    pub const MECHANISM_STATUS: u8 = 0xbd;
    pub const READ_CD: u8 = 0xbe;
}

/// START STOP UNIT, byte 4.
pub(super) mod start_stop {
    pub const START: u8 = 1;
    pub const LOAD_EJECT: u8 = 1 << 1;
    /// A power condition; the other bits mean nothing then.
    pub const POWER: u8 = 0xf0;
}

/// GET EVENT STATUS NOTIFICATION.
pub(super) mod event {
    /// Byte 1 of the packet: tell now, not when something happens.
    pub const POLLED: u8 = 1;
    /// The only class of events that happen here.
    pub const MEDIA_CLASS: u8 = 4;
    /// No event of the classes asked for.
    pub const NONE_AVAILABLE: u8 = 1 << 7;
}

/// Track and lead-out of our discs: one session with one data track.
pub(super) const TRACK: u8 = 1;
pub(super) const LEAD_OUT: u8 = 0xaa;
/// ADR 1, and CONTROL "data track".
pub(super) const DATA_TRACK: u8 = 0x14;
