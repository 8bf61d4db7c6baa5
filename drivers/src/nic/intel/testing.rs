//! What the models of the controllers have in common.

use super::bits::*;
use std::collections::BTreeMap;

/// Where their rings are.
pub const RINGS_AT: u64 = 0x10_0000;
/// Their address.
pub const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// Registers behind a reset, as far as they are not zero.
pub fn power_on() -> BTreeMap<usize, u32> {
    let [a, b, c, d, e, f] = ADDRESS;
    BTreeMap::from([
        (RAL0, u32::from_le_bytes([a, b, c, d])),
        (RAH0, u32::from_le_bytes([e, f, 0, 0x80])),
        (STATUS, Status::LINK_UP.bits()),
    ])
}
