//! The Internet checksum (RFC 1071).

/// The ones' complement sum of `bytes` as big-endian words, an odd last byte filled up with a zero, on top of `start`.
pub fn sum(start: u16, bytes: &[u8]) -> u16 {
    // Words of eight bytes in the CPU's order: the sum of swapped words is the swapped sum (RFC 1071, 2 B). The carries of more than any
    // frame has fit the accumulator; adding into it is an addition and one with carry.
    let word = |bytes: &[u8]| u128::from(bytes.try_into().map_or(0, u64::from_le_bytes));
    let mut total = u128::from(start.swap_bytes());
    let mut blocks = bytes.chunks_exact(32);
    for block in &mut blocks {
        total += word(&block[..8]);
        total += word(&block[8..16]);
        total += word(&block[16..24]);
        total += word(&block[24..]);
    }
    let mut words = blocks.remainder().chunks_exact(8);
    for bytes in &mut words {
        total += word(bytes);
    }
    let mut last = [0; 8];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    total += word(&last);
    let mut total = (total >> 64) as u64 + (total as u64 >> 32) + (total as u64 & 0xffff_ffff);
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    (total as u16).swap_bytes()
}

/// The checksum over `bytes`: the complement of their sum.
pub fn of(bytes: &[u8]) -> u16 {
    !sum(0, bytes)
}

/// The sum of the pseudo-header that TCP and UDP checksums begin with (RFC 9293, 3.1; RFC 8200, 8.1). `addresses` are source and
/// destination, of IPv4 or IPv6.
pub fn pseudo_header(addresses: &[u8], protocol: u8, payload_bytes: usize) -> u16 {
    let [.., high, low] = (payload_bytes as u32).to_be_bytes();
    let long = (payload_bytes as u32 >> 16) as u16;
    let tail = [0, protocol, high, low];
    sum(sum(long, addresses), &tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_rfc_comes_out() {
        // RFC 1071, 3: 0001 f203 f4f5 f6f7 sum to ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(0, &bytes), 0xddf2);
        assert_eq!(of(&bytes), 0x220d);
        assert_eq!(sum(0, &[0x12]), 0x1200);
    }

    #[test]
    fn a_known_header_is_right() {
        let header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8,
            0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
        ];
        assert_eq!(of(&header), 0);
    }

    proptest! {
        #[test]
        fn words_of_two_and_four_bytes_agree(bytes: std::vec::Vec<u8>, start: u16) {
            let mut slow = u32::from(start);
            for pair in bytes.chunks(2) {
                let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
                slow += u32::from(word);
                slow = (slow >> 16) + (slow & 0xffff);
            }
            prop_assert_eq!(sum(start, &bytes), slow as u16);
        }
    }
}
