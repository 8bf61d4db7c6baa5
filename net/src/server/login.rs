//! The question for a password.
//!
//! A wrong answer is told a second later and a connection has three attempts, so guessing goes no faster than the places of a door
//! allow. Nothing is told before the answer is complete, and comparing takes as long whatever was typed.

use core::hint::black_box;
use heapless::Vec;

/// The longest password.
pub const MAX_BYTES: usize = 64;
/// Answers that one connection may give.
const ATTEMPTS: u8 = 3;
/// How late a wrong answer is told.
const DELAY_MS: u64 = 1000;
/// How long somebody may think.
const PATIENCE_MS: u64 = 60_000;

const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// What came of a byte, or of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Waiting,
    /// That was it.
    Admitted,
    /// That was not: ask again.
    Again,
    /// That was not, or it took too long: the end.
    Refused,
}

/// The question.
pub struct Login {
    /// `None`: one that is too long, which nobody can give.
    password: Option<Vec<u8, MAX_BYTES>>,
    typed: Vec<u8, MAX_BYTES>,
    /// More was typed than any password has.
    is_too_long: bool,
    attempts: u8,
    /// A wrong answer that is not told yet: when it will be.
    tell_at_ms: Option<u64>,
    since_ms: u64,
}

impl Login {
    /// For this password. One of more than [`MAX_BYTES`] admits nobody.
    pub fn new(password: &[u8], now_ms: u64) -> Self {
        Self {
            password: Vec::from_slice(password).ok(),
            typed: Vec::new(),
            is_too_long: false,
            attempts: ATTEMPTS,
            tell_at_ms: None,
            since_ms: now_ms,
        }
    }

    /// Whether it takes a byte now.
    pub fn is_ready(&self) -> bool {
        self.tell_at_ms.is_none()
    }

    /// Takes a typed byte.
    pub fn typed(&mut self, byte: u8, now_ms: u64) -> Verdict {
        match byte {
            b'\r' | b'\n' => {
                let password = self.password.as_deref();
                let is_right = password.is_some_and(|password| same(password, &self.typed))
                    & !self.is_too_long;
                self.typed.clear();
                self.is_too_long = false;
                if is_right {
                    return Verdict::Admitted;
                }
                self.tell_at_ms = Some(now_ms + DELAY_MS);
            }
            BACKSPACE | DELETE => _ = self.typed.pop(),
            byte => self.is_too_long |= self.typed.push(byte).is_err(),
        }
        Verdict::Waiting
    }

    /// Time passes.
    pub fn wait(&mut self, now_ms: u64) -> Verdict {
        if self.tell_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.tell_at_ms = None;
            self.attempts -= 1;
            return match self.attempts {
                0 => Verdict::Refused,
                _ => Verdict::Again,
            };
        }
        match now_ms >= self.since_ms + PATIENCE_MS {
            true => Verdict::Refused,
            false => Verdict::Waiting,
        }
    }

    /// When [`Login::wait`] will have something to say.
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        let at_ms = self.tell_at_ms.unwrap_or(self.since_ms + PATIENCE_MS);
        at_ms.saturating_sub(now_ms)
    }
}

/// Compares in a time that depends on neither.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let byte = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
    let difference = (0..MAX_BYTES).fold(one.len() ^ other.len(), |all, at| {
        black_box(all | usize::from(byte(one, at) ^ byte(other, at)))
    });
    black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(login: &mut Login, text: &[u8], now_ms: u64) -> Verdict {
        for byte in text {
            assert_eq!(login.typed(*byte, now_ms), Verdict::Waiting);
        }
        login.typed(b'\r', now_ms)
    }

    #[test]
    fn the_right_answer_admits_and_three_wrong_ones_end_it() {
        let mut login = Login::new(b"geheim", 0);
        assert_eq!(answer(&mut login, b"gehein\x7fm", 0), Verdict::Admitted);
        let mut login = Login::new(b"geheim", 0);
        for (now_ms, verdict) in [
            (0, Verdict::Again),
            (2000, Verdict::Again),
            (4000, Verdict::Refused),
        ] {
            assert_eq!(answer(&mut login, b"gehei", now_ms), Verdict::Waiting);
            assert!(!login.is_ready());
            assert_eq!(login.wait(now_ms + DELAY_MS - 1), Verdict::Waiting);
            assert_eq!(login.next_ms(now_ms), DELAY_MS);
            assert_eq!(login.wait(now_ms + DELAY_MS), verdict);
        }
    }

    #[test]
    fn silence_and_endless_lines_get_nowhere() {
        let mut login = Login::new(b"geheim", 0);
        assert_eq!(login.wait(PATIENCE_MS - 1), Verdict::Waiting);
        assert_eq!(login.wait(PATIENCE_MS), Verdict::Refused);
        let mut login = Login::new(&[b'a'; MAX_BYTES], 0);
        assert_eq!(
            answer(&mut login, &[b'a'; MAX_BYTES + 1], 0),
            Verdict::Waiting
        );
        let mut login = Login::new(&[b'a'; MAX_BYTES + 1], 0);
        let verdict = answer(&mut login, &[b'a'; MAX_BYTES + 1], 0);
        assert_eq!(verdict, Verdict::Waiting);
    }

    proptest! {
        #[test]
        fn only_the_same_is_the_same(
            one in prop::collection::vec(0_u8..3, 0..MAX_BYTES),
            other in prop::collection::vec(0_u8..3, 0..MAX_BYTES),
        ) {
            prop_assert!(same(&one, &one));
            prop_assert_eq!(same(&one, &other), one == other);
        }
    }
}
