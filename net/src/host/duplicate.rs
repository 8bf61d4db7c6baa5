//! Whether an IPv6 address is somebody else's: asked before it is used (RFC 4862, 5.4).

use super::ndisc::{Neighbour, Word};
use super::slaac;
use crate::Mac;
use core::net::Ipv6Addr;

/// How often it is asked for, after how long at most the first time, and how long an answer is waited for each time. RFC 4862, 5.1, has one question
/// and a second.
const QUESTIONS: u8 = 2;
const FIRST_MS: u64 = 100;
const ANSWER_MS: u64 = 500;
/// For so long after it was found to be nobody's, whoever is heard of with it had it before: questions or answers were lost.
const YOUNG_MS: u64 = 10_000;
/// How many others are tried where one is somebody else's (RFC 7217, 7).
const OTHERS: u8 = 3;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may be somebody's: questions that are left, and when the next is due, or when silence means that it is nobody's.
    Tentative(u8, u64),
    /// It is ours, since then.
    Ours(u64),
    /// It is somebody else's.
    Theirs,
}

impl Stage {
    fn unasked(dice: u64, now_ms: u64) -> Self {
        Self::Tentative(QUESTIONS, now_ms + dice % FIRST_MS)
    }
}

/// What a word of a neighbour's means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing.
    Nothing,
    /// The address cannot be used, or no longer.
    Taken,
    /// The station is to be told that it is ours.
    Asked,
}

/// An address in a network, and whether it may be used.
#[derive(Debug)]
pub struct Detection {
    network: Ipv6Addr,
    address: Ipv6Addr,
    /// Addresses that were somebody else's.
    tries: u8,
    stage: Stage,
}

impl Detection {
    /// The address by the card's own; nobody was asked yet. `dice` is what nobody can guess.
    pub fn new(network: Ipv6Addr, own: Mac, dice: u64, now_ms: u64) -> Self {
        Self {
            network,
            address: slaac::address(network, own),
            tries: 0,
            stage: Stage::unasked(dice, now_ms),
        }
    }

    /// Goes on with another address, if not too many were somebody else's.
    pub fn try_another(&mut self, dice: u64, now_ms: u64) -> bool {
        if self.tries == OTHERS {
            return false;
        }
        self.tries += 1;
        self.address = slaac::other_address(self.network, dice, self.tries);
        self.stage = Stage::unasked(dice, now_ms);
        true
    }

    /// The network.
    pub fn network(&self) -> Ipv6Addr {
        self.network
    }

    /// The address.
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// Whether it may be used.
    pub fn is_ours(&self) -> bool {
        matches!(self.stage, Stage::Ours(_))
    }

    /// Hears of a neighbour.
    pub fn hear(&mut self, own: Mac, neighbour: &Neighbour, now_ms: u64) -> Meaning {
        // What comes back to who sent it is nobody else's.
        if neighbour.address != self.address || neighbour.station == own {
            return Meaning::Nothing;
        }
        match (self.stage, neighbour.word) {
            (Stage::Tentative(..), _) => {}
            (Stage::Ours(since_ms), Word::Has) if now_ms < since_ms + YOUNG_MS => {}
            (Stage::Ours(_), Word::Wants) => return Meaning::Asked,
            _ => return Meaning::Nothing,
        }
        self.stage = Stage::Theirs;
        Meaning::Taken
    }

    /// Whether to ask now, and time goes on.
    pub fn asks(&mut self, now_ms: u64) -> bool {
        match self.stage {
            Stage::Tentative(0, at_ms) if now_ms >= at_ms => {
                self.stage = Stage::Ours(now_ms);
                false
            }
            Stage::Tentative(left @ 1.., at_ms) if now_ms >= at_ms => {
                self.stage = Stage::Tentative(left - 1, now_ms + ANSWER_MS);
                true
            }
            _ => false,
        }
    }

    /// When time brings something.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        match self.stage {
            Stage::Tentative(_, at_ms) => Some(at_ms.saturating_sub(now_ms)),
            Stage::Ours(_) | Stage::Theirs => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);

    fn says(station: Mac, word: Word) -> Neighbour {
        Neighbour {
            station,
            address: ADDRESS,
            word,
        }
    }

    /// Lets time pass until nothing is due; how many questions were asked.
    fn wait(detection: &mut Detection, now_ms: &mut u64) -> u8 {
        let mut asked = 0;
        loop {
            asked += u8::from(detection.asks(*now_ms));
            match detection.next_ms(*now_ms) {
                Some(wait_ms) => *now_ms += wait_ms,
                None => return asked,
            }
        }
    }

    #[test]
    fn silence_makes_it_ours_and_who_wants_it_is_told() {
        let (mut detection, mut now_ms) = (Detection::new(slaac::LINK, OWN, u64::MAX, 0), 0);
        assert!(!detection.is_ours());
        assert_eq!(wait(&mut detection, &mut now_ms), QUESTIONS);
        assert!(detection.is_ours());
        assert!((1000..=1100).contains(&now_ms), "{now_ms}");
        let heard = detection.hear(OWN, &says(OTHER, Word::Wants), now_ms);
        assert_eq!(heard, Meaning::Asked);
        // Who says so much later is wrong, or lies.
        let later_ms = now_ms + YOUNG_MS;
        let heard = detection.hear(OWN, &says(OTHER, Word::Has), later_ms);
        assert_eq!(heard, Meaning::Nothing);
        assert!(detection.is_ours());
        let heard = detection.hear(OWN, &says(OTHER, Word::Has), later_ms - 1);
        assert_eq!(heard, Meaning::Taken);
        assert!(!detection.is_ours());
    }

    #[test]
    fn who_has_it_or_wants_it_as_well_is_heard() {
        for word in [Word::Has, Word::Wants] {
            let (mut detection, mut now_ms) = (Detection::new(slaac::LINK, OWN, 0, 0), 0);
            assert!(detection.asks(0));
            let elsewhere = Neighbour {
                address: Ipv6Addr::LOCALHOST,
                ..says(OTHER, word)
            };
            for nothing in [says(OWN, word), elsewhere] {
                assert_eq!(detection.hear(OWN, &nothing, 1), Meaning::Nothing);
            }
            assert_eq!(detection.hear(OWN, &says(OTHER, word), 1), Meaning::Taken);
            assert_eq!(wait(&mut detection, &mut now_ms), 0);
            assert!(!detection.is_ours());
            assert_eq!(detection.hear(OWN, &says(OTHER, word), 2), Meaning::Nothing);
        }
    }
}
