//! The card's counters: what has come to one since the last look, and the frames that were lost by those of them that tell.
//!
//! Reading clears the card's counters (8254x, 13.7), but not all that QEMU's cards have: those go on from what they were. Which kind one is shows when it is
//! read twice.

use super::bits::{CRCERRS, MPC};
use crate::window::Window;

/// Frames that the card has lost itself.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    damaged: u64,
    missed: u64,
    counters: [Counter; 2],
}

impl Default for Losses {
    fn default() -> Self {
        Self {
            damaged: 0,
            missed: 0,
            counters: [Counter::new(CRCERRS), Counter::new(MPC)],
        }
    }
}

impl Losses {
    /// Takes over what the card has counted.
    pub fn count(&mut self, registers: &mut impl Window) {
        let [damaged, missed] = &mut self.counters;
        self.damaged += u64::from(damaged.news(registers));
        self.missed += u64::from(missed.news(registers));
    }

    /// Those whose check sequence was wrong.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Those that found no buffer.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// A counter.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    register: usize,
    /// What it was when it was read last, of one that reading does not clear.
    last: u32,
}

impl Counter {
    /// The one in a register.
    pub const fn new(register: usize) -> Self {
        Self { register, last: 0 }
    }

    /// How much has come to it.
    pub fn news(&mut self, registers: &mut impl Window) -> u32 {
        let value = registers.read_u32(self.register);
        if value == 0 {
            self.last = 0;
            return 0;
        }
        let again = registers.read_u32(self.register);
        if again < value {
            self.last = 0;
            return value.saturating_add(again);
        }
        // A reset may have cleared it.
        let before = core::mem::replace(&mut self.last, again);
        again.checked_sub(before).unwrap_or(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One counter, and whether reading clears it.
    struct Card(u32, bool);

    impl Window for Card {
        fn read_u8(&mut self, _: usize) -> u8 {
            unreachable!("it is a dword")
        }
        fn read_u16(&mut self, _: usize) -> u16 {
            unreachable!("it is a dword")
        }
        fn read_u32(&mut self, _: usize) -> u32 {
            let value = self.0;
            self.0 = if self.1 { 0 } else { value };
            value
        }
        fn write_u8(&mut self, _: usize, _: u8) {}
        fn write_u16(&mut self, _: usize, _: u16) {}
        fn write_u32(&mut self, _: usize, _: u32) {}
    }

    #[test]
    fn both_kinds_tell_what_is_new() {
        for clears in [true, false] {
            let mut card = Card(0, clears);
            let mut counter = Counter::new(0);
            for added in [0, 5, 0, 7, 5, 0] {
                card.0 += added;
                assert_eq!(counter.news(&mut card), added, "{clears}");
            }
            card.0 = 3;
            let news = counter.news(&mut card);
            assert_eq!(news, 3, "a reset cleared it");
        }
    }
}
