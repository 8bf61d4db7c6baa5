//! What firmware finds in CMOS RAM, as a PC's set-up program leaves it.

use super::boot_order;
use super::items::{Facts, Memory};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Index and value of each byte.
pub fn cmos(facts: &Facts<'_>) -> impl Iterator<Item = (u8, u8)> {
    let Memory {
        low_end,
        high_bytes,
    } = Memory::of(facts.memory);
    let base_kib = 640_u16;
    let extended_kib = (low_end.saturating_sub(MIB) / KIB).min(u16::MAX.into()) as u16;
    let above_16_mib = (low_end.saturating_sub(16 * MIB) >> 16).min(u16::MAX.into()) as u16;
    let [high_0, high_1, high_2, ..] = (high_bytes >> 16).to_le_bytes();
    let [base_low, base_high] = base_kib.to_le_bytes();
    let [extended_low, extended_high] = extended_kib.to_le_bytes();
    let [above_low, above_high] = above_16_mib.to_le_bytes();
    let [first, third] = boot_order::cmos(facts.order);
    [
        (0x15, base_low),
        (0x16, base_high),
        (0x17, extended_low),
        (0x18, extended_high),
        (0x30, extended_low),
        (0x31, extended_high),
        (0x34, above_low),
        (0x35, above_high),
        (0x38, third),
        (0x3d, first),
        (0x5b, high_0),
        (0x5c, high_1),
        (0x5d, high_2),
        // CPUs beside the first.
        (0x5f, (facts.platform.vcpus.clamp(1, 256) - 1) as u8),
    ]
    .into_iter()
}
