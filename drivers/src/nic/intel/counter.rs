//! A counter of the card's: what has come to it since the last look.
//!
//! Reading clears the card's counters (8254x, 13.7), but not all that QEMU's cards have: those go on from what they were. Which kind one is shows when it is
//! read twice.

use crate::window::Window;

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
