//! Whether a card still does what it was told.
//!
//! A card whose ring hangs gives no sign: descriptors lie there, the link is up, and nothing moves. So it is looked at from time to time,
//! and one that has not moved for [`PATIENCE_MS`] is to be reset. A partner that holds the card up by pause frames for that long has
//! the same end, and costs no more than the frames that wait.

use core::fmt;
use hvm::backend::Link;

/// How long a card may keep still with work to do.
pub const PATIENCE_MS: u64 = 5000;

/// How a card is getting on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Descriptors that it was told of and has not sent.
    pub outstanding: usize,
    /// Descriptors that it has sent, counted round.
    pub sent: u32,
    /// Buffers that it may fill.
    pub buffers: usize,
    /// Frames that came, damaged ones as well, counted round.
    pub received: u32,
    /// Frames that it missed, counted round.
    pub missed: u32,
    /// What it says itself, if it has stopped.
    pub stopped: Option<&'static str>,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// It has not sent anything for so long.
    Sending {
        /// How much waits.
        outstanding: usize,
        /// For how long.
        still_ms: u64,
    },
    /// It misses frames, though it has buffers for them.
    Receiving {
        /// How many it missed.
        missed: u32,
        /// How many buffers it has.
        buffers: usize,
    },
    /// It says so.
    Stopped(&'static str),
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sending {
                outstanding,
                still_ms,
            } => write!(
                f,
                "it has sent none of {outstanding} descriptors for {still_ms} ms, with its link up"
            ),
            Self::Receiving { missed, buffers } => write!(
                f,
                "it has missed {missed} frames and brought none, with {buffers} buffers to fill"
            ),
            Self::Stopped(why) => f.write_str(why),
        }
    }
}

/// What was seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    last: Progress,
    /// Since when nothing was sent with something to send, and nothing received.
    sending_since_ms: Option<u64>,
    receiving_since_ms: Option<u64>,
    /// Frames missed before that.
    missed: u32,
}

impl Watch {
    /// Takes note of how the card is getting on at `now_ms` of a clock that never goes back.
    pub fn look(&mut self, now: Progress, link: Link, now_ms: u64) -> Option<Hang> {
        let last = core::mem::replace(&mut self.last, now);
        if let Some(why) = now.stopped {
            return self.found(Hang::Stopped(why));
        }
        let moves = now.sent != last.sent || now.outstanding == 0;
        if moves || link == Link::Down {
            self.sending_since_ms = None;
        } else {
            let since_ms = *self.sending_since_ms.get_or_insert(now_ms);
            let still_ms = now_ms.saturating_sub(since_ms);
            if still_ms >= PATIENCE_MS {
                let outstanding = now.outstanding;
                return self.found(Hang::Sending {
                    outstanding,
                    still_ms,
                });
            }
        }
        let moves = now.received != last.received || now.buffers == 0;
        if moves || link == Link::Down || self.receiving_since_ms.is_none() {
            self.receiving_since_ms = Some(now_ms);
            self.missed = now.missed;
        } else if let Some(since_ms) = self.receiving_since_ms {
            let missed = now.missed.wrapping_sub(self.missed);
            if missed > 0 && now_ms.saturating_sub(since_ms) >= PATIENCE_MS {
                let buffers = now.buffers;
                return self.found(Hang::Receiving { missed, buffers });
            }
        }
        None
    }

    /// After this the card is a new one.
    fn found(&mut self, hang: Hang) -> Option<Hang> {
        *self = Self::default();
        Some(hang)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sending(outstanding: usize, sent: u32) -> Progress {
        Progress {
            outstanding,
            sent,
            buffers: 255,
            ..Progress::default()
        }
    }

    #[test]
    fn a_card_that_moves_or_has_nothing_to_do_is_left_alone() {
        let mut watch = Watch::default();
        for second in 0..100 {
            let now = sending(10, second);
            assert_eq!(watch.look(now, Link::Up, u64::from(second) * 1000), None);
        }
        for second in 100..200 {
            assert_eq!(watch.look(sending(0, 99), Link::Up, second * 1000), None);
        }
    }

    #[test]
    fn one_that_keeps_still_is_found_after_a_while_and_once() {
        let mut watch = Watch::default();
        for second in 0..5 {
            assert_eq!(
                watch.look(sending(7, 3), Link::Up, 10_000 + second * 1000),
                None
            );
        }
        // The first look cannot know that nothing was sent.
        let hang = Hang::Sending {
            outstanding: 7,
            still_ms: PATIENCE_MS,
        };
        assert_eq!(watch.look(sending(7, 3), Link::Up, 16_000), Some(hang));
        assert_eq!(watch.look(sending(7, 3), Link::Up, 17_000), None);
    }

    #[test]
    fn without_a_link_nothing_can_move() {
        let mut watch = Watch::default();
        for second in 0..100 {
            assert_eq!(watch.look(sending(7, 3), Link::Down, second * 1000), None);
        }
        assert_eq!(watch.look(sending(7, 3), Link::Up, 100_000), None);
        assert_eq!(watch.look(sending(7, 3), Link::Up, 104_000), None);
        assert!(watch.look(sending(7, 3), Link::Up, 105_000).is_some());
    }

    #[test]
    fn frames_missed_count_only_while_there_are_buffers_and_none_comes() {
        let looks = |buffers, received: fn(u32) -> u32| {
            let mut watch = Watch::default();
            (0..20).find_map(|second| {
                let now = Progress {
                    buffers,
                    received: received(second),
                    missed: second * 10,
                    ..Progress::default()
                };
                watch.look(now, Link::Up, u64::from(second) * 1000)
            })
        };
        assert_eq!(looks(0, |_| 0), None);
        assert_eq!(looks(100, |second| second), None);
        let (missed, buffers) = (50, 100);
        let hang = Hang::Receiving { missed, buffers };
        assert_eq!(looks(100, |_| 0), Some(hang));
    }

    #[test]
    fn one_that_says_so_is_believed_at_once() {
        let now = Progress {
            stopped: Some("it was reset"),
            ..Progress::default()
        };
        let found = Watch::default().look(now, Link::Down, 0);
        assert_eq!(found, Some(Hang::Stopped("it was reset")));
    }
}
