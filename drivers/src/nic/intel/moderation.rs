//! How far apart a card's interrupts are: under load a few frames share one, and a frame that comes alone has its own at once.
//!
//! A card holds an interrupt back only for as long as the one before it is recent, so a rest between them delays nobody who waits for a
//! single answer. How many frames came with the last interrupts says how much longer the next may wait.

/// Between interrupts at first: 20,000 a second.
const BRISK_US: u32 = 50;
/// Between interrupts of a stream: 4,000 a second, in which a gigabit brings a fraction of a ring.
const BULK_US: u32 = 250;
/// Frames with each interrupt, on the average, from which on it is a stream; and below which it is none any more, which is a lower rate,
/// as the interrupts of a stream are farther apart.
const BULK_FRAMES: u32 = 4;
/// Weight of what was before, against the last.
const INERTIA: u32 = 3;
/// The average is kept in these parts of a frame.
const PARTS: u32 = 16;

/// What has been seen, and what follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moderation {
    average_parts: u32,
    interval_us: u32,
    /// Frames that had come at the last look.
    seen: u32,
}

impl Moderation {
    /// Nothing is known of a card that was just reset, and has brought so many frames before.
    pub fn new(received: u32) -> Self {
        Self {
            seen: received,
            ..Self::default()
        }
    }

    /// So many frames have come in all, a count that goes round. The time that is to be between interrupts, if it is another than before.
    pub fn look(&mut self, received: u32) -> Option<u32> {
        let frames = received.wrapping_sub(self.seen);
        self.seen = received;
        if frames > 0 {
            let last_parts = frames.min(u32::MAX / PARTS / 2) * PARTS;
            self.average_parts = (INERTIA * self.average_parts + last_parts) / (INERTIA + 1);
        }
        let interval_us = match self.average_parts >= BULK_FRAMES * PARTS {
            true => BULK_US,
            false => BRISK_US,
        };
        let before = core::mem::replace(&mut self.interval_us, interval_us);
        (before != interval_us).then_some(interval_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_fewer_interrupts_and_answers_have_theirs_soon() {
        let mut received = u32::MAX - 50;
        let mut moderation = Moderation::new(received);
        let mut look = |frames: u32| {
            received = received.wrapping_add(frames);
            moderation.look(received)
        };
        assert_eq!(look(0), Some(BRISK_US));
        for _ in 0..100 {
            assert_eq!(look(1), None);
        }
        let turns = (0..100).position(|_| look(10) == Some(BULK_US));
        assert!(turns.is_some_and(|turns| turns < 8), "{turns:?}");
        for _ in 0..100 {
            assert_eq!(look(20), None);
            assert_eq!(look(0), None);
        }
        let turns = (0..100).position(|_| look(1) == Some(BRISK_US));
        assert!(turns.is_some_and(|turns| turns < 16), "{turns:?}");
        look(u32::MAX);
    }
}
