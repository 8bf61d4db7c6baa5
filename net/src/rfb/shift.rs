//! By how many lines a part of a screen has moved.

use super::history::UNKNOWN;
use super::region::MAX_SIZE;
use alloc::boxed::Box;

/// Lines of the highest column.
const MAX_LINES: usize = MAX_SIZE.height as usize;
/// Places of the table, a power of two: there are always free ones.
const PLACES: usize = (2 * MAX_LINES).next_power_of_two();
/// Lines that have to speak for a distance.
const QUORUM: u16 = 8;
/// In the table: the mark of more than one line.
const SEVERAL: u16 = 1 << 15;

/// Memory to find it in, for any number of viewers.
pub struct Finder {
    /// Lines by their marks, each with one added; 0 is a free place.
    table: Box<[u16; PLACES]>,
    /// Lines that speak for a distance, by the distance and [`MAX_LINES`].
    votes: Box<[u16; 2 * MAX_LINES]>,
}

impl Finder {
    /// All memory is taken now.
    pub fn new() -> Self {
        Self {
            table: Box::new([0; PLACES]),
            votes: Box::new([0; 2 * MAX_LINES]),
        }
    }

    /// How far most of the lines whose marks changed have moved, down if it is positive. Lines whose mark there was more than once, such as
    /// empty ones, have no say.
    pub fn find(&mut self, before: &[u64], now: &[u64]) -> Option<i32> {
        let before = &before[..before.len().min(MAX_LINES)];
        let mask = (2 * before.len()).next_power_of_two().min(PLACES) - 1;
        self.table[..=mask].fill(0);
        self.votes.fill(0);
        for (line, mark) in before.iter().enumerate() {
            if *mark != UNKNOWN {
                let place = self.place(*mark, before, mask);
                self.table[place] = match self.table[place] {
                    0 => line as u16 + 1,
                    known => known | SEVERAL,
                };
            }
        }
        let changed = before.iter().zip(now).enumerate();
        for (line, (_, mark)) in changed.filter(|(_, (before, now))| before != now) {
            let known = self.table[self.place(*mark, before, mask)];
            if known != 0 && known & SEVERAL == 0 {
                self.votes[line + MAX_LINES - usize::from(known - 1)] += 1;
            }
        }
        let (distance, votes) = self.votes.iter().enumerate().max_by_key(|it| *it.1)?;
        (*votes >= QUORUM).then_some(distance as i32 - MAX_LINES as i32)
    }

    /// Where a mark is in the table, or would be.
    fn place(&self, mark: u64, before: &[u64], mask: usize) -> usize {
        let mut place = mark as usize & mask;
        loop {
            let line = match self.table[place] {
                0 => return place,
                known => usize::from((known & !SEVERAL) - 1),
            };
            if before[line] == mark {
                return place;
            }
            place = (place + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn few_lines_and_equal_lines_say_nothing() {
        let mut finder = Finder::new();
        let before: Vec<u64> = (1..=100).collect();
        let mut now = before.clone();
        now[50..57].copy_from_slice(&before[40..47]);
        assert_eq!(finder.find(&before, &now), None);
        now[57] = before[47];
        assert_eq!(finder.find(&before, &now), Some(10));
        assert_eq!(finder.find(&[5; 100], &[6; 100]), None);
        assert_eq!(finder.find(&[UNKNOWN; 100], &[6; 100]), None);
        assert_eq!(finder.find(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn a_distance_is_found_on_the_highest_screen(
            seed: u64,
            lines in prop_oneof![Just(MAX_LINES), 60..900_usize],
            part in 0_usize..40,
            is_up: bool,
        ) {
            let mark = |line: usize| (seed ^ line as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let distance = 1 + part;
            let before: Vec<_> = (0..lines).map(mark).collect();
            let now: Vec<_> = (0..lines).map(|line| match is_up {
                true => mark(line + distance),
                false => mark(line.wrapping_sub(distance)),
            }).collect();
            let found = Finder::new().find(&before, &now);
            let expected = if is_up { -(distance as i32) } else { distance as i32 };
            prop_assert_eq!(found, Some(expected));
        }
    }
}
