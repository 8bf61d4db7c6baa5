//! The checksum of firmware tables: bytes that add up to zero.

/// The sum of the bytes.
pub fn of(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Sets the byte at `place` so that the sum is zero.
pub fn balance(bytes: &mut [u8], place: usize) {
    let sum = of(bytes);
    if let Some(byte) = bytes.get_mut(place) {
        *byte = byte.wrapping_sub(sum);
    }
}
