//! A set of interrupt vectors: the shape of IRR, ISR and TMR (SDM vol. 3A, 11.8.4).

use serde::{Deserialize, Serialize};

/// 256 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Vectors([u64; 4]);

impl Vectors {
    #[inline]
    pub(super) fn set(&mut self, vector: u8) {
        self.0[usize::from(vector >> 6)] |= 1 << (vector & 63);
    }

    #[inline]
    pub(super) fn clear(&mut self, vector: u8) {
        self.0[usize::from(vector >> 6)] &= !(1 << (vector & 63));
    }

    #[inline]
    pub(super) fn contains(&self, vector: u8) -> bool {
        self.0[usize::from(vector >> 6)] >> (vector & 63) & 1 != 0
    }

    /// The vector of highest priority: the greatest number.
    #[inline]
    pub(super) fn highest(&self) -> Option<u8> {
        for index in (0..4_u8).rev() {
            let word = self.0[usize::from(index)];
            if word != 0 {
                return Some(index * 64 + (63 - word.leading_zeros() as u8));
            }
        }
        None
    }

    /// Register `index` (0…7) as software reads it: 32 vectors each.
    #[inline]
    pub(super) fn register(&self, index: u16) -> u32 {
        (self.0[usize::from(index >> 1 & 3)] >> (32 * (index & 1))) as u32
    }

    /// From what the eight registers hold.
    #[inline]
    pub(super) fn from_registers(register: impl Fn(u16) -> u32) -> Self {
        Self(
            [0, 2, 4, 6]
                .map(|index| u64::from(register(index)) | u64::from(register(index + 1)) << 32),
        )
    }

    /// Both sets' vectors.
    #[inline]
    pub(super) fn union(self, other: Self) -> Self {
        Self([0, 1, 2, 3].map(|index| self.0[index] | other.0[index]))
    }

    /// 64 vectors to the word, the lowest first.
    #[inline]
    pub(super) fn words(self) -> [u64; 4] {
        self.0
    }
}
