//! 82093AA registers (Intel 82093AA data sheet, order 290566, chapter 3).

/// Offsets in the memory window.
pub(super) const SELECT: u64 = 0x00;
pub(super) const WINDOW: u64 = 0x10;

/// Register indices.
pub(super) const ID: u8 = 0x00;
pub(super) const VERSION: u8 = 0x01;
pub(super) const ARBITRATION: u8 = 0x02;
pub(super) const REDIRECTION: u8 = 0x10;

/// Version 11h, 24 entries.
pub(super) const VERSION_VALUE: u32 = 0x0017_0011;
/// ID and arbitration registers: the field.
pub(super) const ID_FIELD: u32 = 0x0f00_0000;

/// Redirection entry: delivery mode.
pub(super) const DELIVERY_SHIFT: u32 = 8;
pub(super) const LOGICAL: u64 = 1 << 11;
pub(super) const REMOTE_IRR: u64 = 1 << 14;
pub(super) const LEVEL: u64 = 1 << 15;
pub(super) const MASKED: u64 = 1 << 16;
pub(super) const DESTINATION_SHIFT: u32 = 56;
/// Redirection entry: what software writes. Delivery status and remote IRR are not in it.
pub(super) const WRITABLE: u64 = 0xff00_0000_0001_afff;
