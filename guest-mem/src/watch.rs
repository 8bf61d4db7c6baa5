//! Words of guest RAM with the values that they had: what an answer depends on, so that it can be kept for as long as
//! they stay the same.

use crate::{Gpa, GuestMemory, PAGE_BYTES, raw};

/// A few aligned 64-bit words in the largest piece of RAM.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Address and length of the piece: offsets are valid in no other.
    piece: (usize, u64),
    count: usize,
    /// How many pairs the words take: kept beside their number, because every look asks.
    pairs: usize,
    /// Offset in the piece, below its length less seven; and value. The last of an odd number stands there twice, so that a look goes by
    /// pairs.
    words: [[(u64, u64); 2]; Self::WORDS.div_ceil(2)],
}

impl Watch {
    /// How many words it has room for: a walk of five levels, and code in two words.
    pub const WORDS: usize = 7;

    /// No words yet.
    pub fn new(memory: &GuestMemory) -> Self {
        let main = memory.main();
        Self {
            piece: (main.host.addr(), main.bytes),
            count: 0,
            pairs: 0,
            words: [[(0, 0); 2]; Self::WORDS.div_ceil(2)],
        }
    }

    /// Adds the word at `gpa`, whose low three bits are ignored, with the value that was read. A word too many, or one
    /// outside the piece, makes that the watch never holds again.
    pub fn add(&mut self, memory: &GuestMemory, gpa: Gpa, value: u64) {
        let main = memory.main();
        let offset = gpa.0.wrapping_sub(main.gpa.0) & !7;
        let inside = offset < main.bytes && self.piece == (main.host.addr(), main.bytes);
        let has_room = inside && self.count < Self::WORDS;
        match self.words.get_mut(self.count / 2).filter(|_| has_room) {
            Some(pair) => {
                pair[self.count % 2..].fill((offset, value));
                self.count += 1;
                self.pairs = self.count.div_ceil(2);
            }
            None => (self.count, self.pairs) = (usize::MAX, usize::MAX),
        }
    }

    /// True if a page has the first word's value where the first word is in its own.
    pub fn begins_as_in(&self, memory: &GuestMemory, page: Gpa) -> bool {
        let [[(offset, value), _], ..] = self.words;
        let at = page.wrapping_add(offset % PAGE_BYTES);
        self.count != 0 && memory.load::<u64>(at) == Ok(value)
    }

    /// True if every word holds its value now.
    #[inline(always)]
    pub fn holds(&self, memory: &GuestMemory) -> bool {
        let main = memory.main();
        self.piece == (main.host.addr(), main.bytes)
            && self.words.get(..self.pairs).is_some_and(|pairs| {
                let holds = |(offset, value): (u64, u64)| {
                    // SAFETY: `add` found the offset inside this very piece; it is a multiple of eight, and pieces are
                    // page-aligned on both sides, so the whole word lies in it.
                    value == unsafe { raw::load_u64(main.host.add(offset as usize).cast()) }
                };
                pairs.iter().all(|&[one, other]| holds(one) && holds(other))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_ends_with_the_first_word_that_changes() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000), (Gpa(0x10000), 0x2000)]);
        memory.store(Gpa(0x10008), &5_u64).unwrap();
        let mut watch = Watch::new(&memory);
        assert!(watch.holds(&memory));
        watch.add(&memory, Gpa(0x1000c), 5);
        watch.add(&memory, Gpa(0x11ff8), 0);
        assert!(watch.holds(&memory));
        memory.store(Gpa(0x11ff8), &1_u64).unwrap();
        assert!(!watch.holds(&memory));
    }

    #[test]
    fn words_elsewhere_and_too_many_words_never_hold() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000), (Gpa(0x10000), 0x2000)]);
        for outside in [0, 0x12000, u64::MAX] {
            let mut watch = Watch::new(&memory);
            watch.add(&memory, Gpa(outside), 0);
            watch.add(&memory, Gpa(0x10000), 0);
            assert!(!watch.holds(&memory), "{outside:#x}");
        }
        let mut watch = Watch::new(&memory);
        for word in 0..=Watch::WORDS as u64 {
            assert!(watch.holds(&memory));
            watch.add(&memory, Gpa(0x10000 + 8 * word), 0);
        }
        assert!(!watch.holds(&memory));
    }

    #[test]
    fn another_page_may_begin_alike() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x4000)]);
        memory.store(Gpa(0x1ff8), &5_u64).unwrap();
        memory.store(Gpa(0x3ff8), &5_u64).unwrap();
        let mut watch = Watch::new(&memory);
        assert!(!watch.begins_as_in(&memory, Gpa(0x3000)));
        watch.add(&memory, Gpa(0x1ff8), 5);
        watch.add(&memory, Gpa(0x1000), 0);
        assert!(watch.begins_as_in(&memory, Gpa(0x3000)));
        assert!(!watch.begins_as_in(&memory, Gpa(0x2000)));
        assert!(!watch.begins_as_in(&memory, Gpa(0x8000)));
    }

    #[test]
    fn a_watch_on_other_memory_does_not_hold() {
        let one = GuestMemory::anonymous(&[(Gpa(0), 0x2000)]);
        let other = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
        let mut watch = Watch::new(&one);
        watch.add(&one, Gpa(0x1ff8), 0);
        assert!(watch.holds(&one) && !watch.holds(&other));
    }
}
