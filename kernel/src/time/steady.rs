//! The line by a clock of the chipset, for machines whose time-stamp counters cannot be trusted. Slow to read, and right.

use super::calibration::Scale;
use super::reference::Reference;
use core::sync::atomic::{AtomicU64, Ordering};

/// How long a clock may stay unread, as a part of its turn: what is older cannot be told from what is new.
const TURN_PART: u64 = 4;

/// A clock that counts on over its turns, in ticks of the line, and never shows less than it has shown.
#[derive(Debug)]
pub struct Steady {
    clock: Reference,
    scale: Scale,
    /// The line when the count was 0.
    start: u64,
    /// The clock's count at its first reading.
    first: u64,
    /// Counts since then, as last seen.
    counts: AtomicU64,
    /// The highest value shown.
    shown: AtomicU64,
}

impl Steady {
    /// Goes on at `line`, at `line_hz`.
    pub fn new(clock: Reference, line: u64, line_hz: u64) -> Self {
        Self {
            clock,
            scale: Scale::new(clock.hz, line_hz),
            start: line,
            first: clock.count(),
            counts: AtomicU64::new(0),
            shown: AtomicU64::new(line),
        }
    }

    /// The clock's name.
    pub fn name(&self) -> &'static str {
        self.clock.name()
    }

    /// The line, now. No two readings are the same, on whatever CPUs.
    pub fn now(&self) -> u64 {
        let seen = self.clock.count().wrapping_sub(self.first);
        let counts = follow(&self.counts, seen, self.clock.mask);
        let line = self.start.wrapping_add(self.scale.apply(counts));
        let before = self
            .shown
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |shown| {
                Some(line.max(shown.wrapping_add(1)))
            });
        let (Ok(shown) | Err(shown)) = before;
        line.max(shown.wrapping_add(1))
    }

    /// Ticks of the line that it may stay unread.
    pub fn patience(&self) -> u64 {
        self.scale.apply(self.clock.mask / TURN_PART)
    }
}

/// Counts on: `counts` is brought to the value at or after it whose bits in `mask` are `seen`. A reading that is older than what another CPU
/// has noted changes nothing.
fn follow(counts: &AtomicU64, seen: u64, mask: u64) -> u64 {
    let mut last = counts.load(Ordering::Acquire);
    loop {
        let ahead = seen.wrapping_sub(last) & mask;
        if ahead > mask / 2 {
            return last;
        }
        match counts.compare_exchange_weak(last, last + ahead, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => return last + ahead,
            Err(other) => last = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stale_reading_is_no_turn() {
        let counts = AtomicU64::new(0x1_0000_0005);
        assert_eq!(follow(&counts, 3, 0xff_ffff), 0x1_0000_0005);
        assert_eq!(follow(&counts, 0x10, 0xff_ffff), 0x1_0000_0010);
    }

    proptest! {
        #[test]
        fn turns_are_counted(steps in prop::collection::vec(0_u64..0x7f_ffff, 1..50)) {
            let counts = AtomicU64::new(0);
            let mut exact = 0;
            for step in steps {
                exact += step;
                prop_assert_eq!(follow(&counts, exact & 0xff_ffff, 0xff_ffff), exact);
            }
        }
    }
}
