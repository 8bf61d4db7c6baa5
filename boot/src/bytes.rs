//! Little-endian numbers in records that others wrote.
//!
//! The readers check that a record is complete before they look inside, so offsets are constants within it; a number that
//! would reach beyond the end is 0.

pub fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    at(bytes, offset).map_or(0, u16::from_le_bytes)
}

pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    at(bytes, offset).map_or(0, u32::from_le_bytes)
}

pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    at(bytes, offset).map_or(0, u64::from_le_bytes)
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}
