//! A set of interrupt vectors: the shape of IRR, ISR and TMR (SDM vol. 3A, 11.8.4).

use serde::{Deserialize, Serialize};

/// 256 bits, and the highest of those that are set, which is asked for far more often than it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub(super) struct Vectors {
    words: [u64; 4],
    highest: Option<u8>,
}

impl From<[u64; 4]> for Vectors {
    fn from(words: [u64; 4]) -> Self {
        Self {
            words,
            highest: highest(&words, 3),
        }
    }
}

impl From<Vectors> for [u64; 4] {
    fn from(vectors: Vectors) -> Self {
        vectors.words
    }
}

/// The greatest number whose bit is set in a word that is not behind the one at `last`.
#[inline]
fn highest(words: &[u64; 4], last: u8) -> Option<u8> {
    for index in (0..=last).rev() {
        let word = words[usize::from(index & 3)];
        if word != 0 {
            return Some(index * 64 + (63 - word.leading_zeros() as u8));
        }
    }
    None
}

impl Vectors {
    #[inline]
    pub(super) fn set(&mut self, vector: u8) {
        self.words[usize::from(vector >> 6)] |= 1 << (vector & 63);
        self.highest = self.highest.max(Some(vector));
    }

    #[inline]
    pub(super) fn clear(&mut self, vector: u8) {
        self.words[usize::from(vector >> 6)] &= !(1 << (vector & 63));
        if self.highest == Some(vector) {
            self.highest = highest(&self.words, vector >> 6);
        }
    }

    #[inline]
    pub(super) fn contains(&self, vector: u8) -> bool {
        self.words[usize::from(vector >> 6)] >> (vector & 63) & 1 != 0
    }

    /// The vector of highest priority: the greatest number.
    #[inline]
    pub(super) fn highest(&self) -> Option<u8> {
        self.highest
    }

    /// Register `index` (0…7) as software reads it: 32 vectors each.
    #[inline]
    pub(super) fn register(&self, index: u16) -> u32 {
        (self.words[usize::from(index >> 1 & 3)] >> (32 * (index & 1))) as u32
    }

    /// From what the eight registers hold.
    #[inline]
    pub(super) fn from_registers(register: impl Fn(u16) -> u32) -> Self {
        [0, 2, 4, 6]
            .map(|index| u64::from(register(index)) | u64::from(register(index + 1)) << 32)
            .into()
    }

    /// Both sets' vectors.
    #[inline]
    pub(super) fn union(self, other: Self) -> Self {
        [0, 1, 2, 3]
            .map(|index| self.words[index] | other.words[index])
            .into()
    }

    /// 64 vectors to the word, the lowest first.
    #[inline]
    pub(super) fn words(self) -> [u64; 4] {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn the_highest_is_that_of_the_set(steps in prop::collection::vec(any::<(bool, u8)>(), 0..60)) {
            let (mut vectors, mut model) = (Vectors::default(), BTreeSet::new());
            for (sets, vector) in steps {
                if sets {
                    vectors.set(vector);
                    model.insert(vector);
                } else {
                    vectors.clear(vector);
                    model.remove(&vector);
                }
                prop_assert_eq!(vectors.highest(), model.last().copied());
                prop_assert_eq!(Vectors::from(vectors.words()), vectors);
            }
        }
    }
}
