//! The Internet checksum (RFC 1071).

/// A ones' complement sum under way, of words in the CPU's order: the sum of swapped words is the swapped sum (RFC 1071, 2 B), and so is
/// that of words of any length, carries added at the end (2 C).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Nothing, on top of the big-endian word `start`.
    #[inline]
    pub fn of(start: u16) -> Self {
        Self(start.swap_bytes().into())
    }

    /// The pseudo-header that TCP and UDP checksums begin with (RFC 9293, 3.1; RFC 8200, 8.1). `addresses` are source and destination, of
    /// IPv4 or IPv6.
    #[inline(always)]
    pub fn pseudo_header(addresses: &[u8], protocol: u8, payload_bytes: usize) -> Self {
        let mut sum = Self::of(protocol.into());
        sum.add_header(addresses);
        sum.add_word((payload_bytes >> 16) as u16);
        sum.add_word(payload_bytes as u16);
        sum
    }

    /// Adds eight bytes.
    #[inline]
    fn add(&mut self, word: u64) {
        let (total, carry) = self.0.overflowing_add(word);
        self.0 = total.wrapping_add(carry.into());
    }

    /// Adds bytes of a header: dwords, of which what is left over does not count. Quick where their number is known when this is compiled.
    #[inline(always)]
    pub fn add_header(&mut self, bytes: &[u8]) {
        for dword in bytes.chunks_exact(4) {
            self.add(dword.try_into().map_or(0, u32::from_le_bytes).into());
        }
    }

    /// Adds a big-endian word.
    #[inline]
    fn add_word(&mut self, word: u16) {
        self.add(word.swap_bytes().into());
    }

    /// Adds bytes, an odd last one filled up with a zero. They begin at an even place of what is summed.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let rest = self.add_blocks::<16>(bytes);
        let rest = self.add_blocks::<4>(rest);
        let rest = self.add_blocks::<1>(rest);
        let last = rest.iter().rev();
        self.add(last.fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }

    /// Adds as many blocks of so many words of eight bytes as there are; the rest. A block is straight code: one addition after the other,
    /// each with the carry of the one before.
    #[inline(always)]
    fn add_blocks<'a, const WORDS: usize>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut blocks = bytes.chunks_exact(8 * WORDS);
        for block in &mut blocks {
            let mut carry = false;
            for word in block.chunks_exact(8) {
                let word = word.try_into().map_or(0, u64::from_le_bytes);
                (self.0, carry) = self.0.carrying_add(word, carry);
            }
            self.add(carry.into());
        }
        blocks.remainder()
    }

    /// The sum as a big-endian word.
    #[inline]
    pub fn word(self) -> u16 {
        let total = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let total = (total >> 32) + (total & 0xffff_ffff);
        let total = (total >> 16) + (total & 0xffff);
        let total = (total >> 16) + (total & 0xffff);
        (total as u16).swap_bytes()
    }
}

/// The ones' complement sum of `bytes` as big-endian words, an odd last byte filled up with a zero, on top of `start`.
pub fn sum(start: u16, bytes: &[u8]) -> u16 {
    let mut sum = Sum::of(start);
    sum.add_bytes(bytes);
    sum.word()
}

/// The checksum over `bytes`: the complement of their sum.
pub fn of(bytes: &[u8]) -> u16 {
    !sum(0, bytes)
}

/// The sum of a pseudo-header: see [`Sum::pseudo_header`].
#[inline]
pub fn pseudo_header(addresses: &[u8], protocol: u8, payload_bytes: usize) -> u16 {
    Sum::pseudo_header(addresses, protocol, payload_bytes).word()
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
    fn no_carry_is_lost() {
        assert_eq!(sum(0xffff, &[0xff; 64]), 0xffff);
        assert_eq!(sum(1, &[0xff; 129]), 0xff01);
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

        #[test]
        fn a_header_is_summed_like_anything_else(dwords: std::vec::Vec<[u8; 4]>, start: u16) {
            let bytes = dwords.concat();
            let mut header = Sum::of(start);
            header.add_header(&bytes);
            prop_assert_eq!(header.word(), sum(start, &bytes));
        }
    }
}
