//! Dice, and what guests are likely to write.

use super::*;

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub(super) fn entry(&mut self) -> u64 {
        let mut entry = match self.below(40) {
            0 => return self.next(),
            1 => 0,
            2 | 3 => self.pick(&[2_u64, 4, 6]) << 20 | 0x80,
            4 | 5 => 4 << 20 | 0x80,
            6 => 0x80,
            7 => ROM,
            8 => 0x1000_0000,
            9 => (1 << 20) + (self.below(4) << 12),
            _ => self.below(TABLES) << 12,
        };
        entry |= self.pick(&[0, 0x20, 0x60, 0x60]);
        if !self.one_in(20) {
            entry |= 1;
        }
        if !self.one_in(8) {
            entry |= 2;
        }
        if !self.one_in(6) {
            entry |= 4;
        }
        if self.one_in(24) {
            entry |= 1 << 63;
        }
        entry
    }

    /// Where an entry is in its table: the eight bytes of it.
    pub(super) fn slot(&mut self) -> u64 {
        let wide = [0, 1, 2, 3, 7, 8, 511];
        let narrow = [0, 1, 7, 8, 256, 512, 513, 768];
        match self.one_in(2) {
            true => self.pick(&wide) * 8,
            false => (self.pick(&narrow) * 4) & !7,
        }
    }

    pub(super) fn value(&mut self) -> u64 {
        match self.one_in(5) {
            true => self.entry() & 0xffff_ffff | self.entry() << 32,
            false => self.entry(),
        }
    }
}
