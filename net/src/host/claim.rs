//! Whether an IPv4 address is somebody else's: asked before it is used, and heard of for as long as it is (RFC 5227).

use crate::Mac;
use crate::nat::arp::Arp;
use core::net::Ipv4Addr;

/// How often it is asked for, after how long at most the first time, how far apart at least and by how much more at most, and how long silence has to
/// last in the end. RFC 5227, 1.1, has seconds for these; switched Ethernet answers in milliseconds.
const PROBES: u8 = 3;
const FIRST_MS: u64 = 100;
const PROBE_MS: u64 = 150;
const SPREAD_MS: u64 = 100;
const SILENCE_MS: u64 = 300;
/// How often it is announced, and how far apart (RFC 5227, 1.1).
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCEMENT_MS: u64 = 2000;
/// A claim is young for so long: whoever is heard of with the address then had it before, and the questions or the answers were lost, as they
/// are where a switch's port or an emulated card takes its time to carry frames.
const YOUNG_MS: u64 = 10_000;
/// From one defence to the next (RFC 5227, 2.4, c).
const DEFENCE_MS: u64 = 10_000;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may be somebody's: questions that are left, and when the next is due, or when silence means that it is nobody's.
    Probing(u8, u64),
    /// It is ours: announcements that are left, and when the next is due.
    Announcing(u8, u64),
    /// It is ours, and everybody was told.
    Held,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who has it? By nobody.
    Probe,
    /// It is ours.
    Announcement,
}

/// What a frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// It is this station's: it cannot be used.
    Taken(Mac),
    /// It is in use here, and this station uses it, too.
    Challenged(Mac),
}

/// A claim to an address.
#[derive(Debug)]
pub struct Claim {
    own: Mac,
    address: Ipv4Addr,
    stage: Stage,
    won_ms: Option<u64>,
    defended_ms: Option<u64>,
    spread_ms: u64,
}

impl Claim {
    /// Of the station `own`. `dice` is what nobody can guess.
    pub fn new(own: Mac, address: Ipv4Addr, dice: u64, now_ms: u64) -> Self {
        Self {
            own,
            address,
            stage: Stage::Probing(PROBES, now_ms + dice % FIRST_MS),
            won_ms: None,
            defended_ms: None,
            spread_ms: (dice >> 32) % SPREAD_MS,
        }
    }

    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether it may be used.
    pub fn is_won(&self) -> bool {
        !matches!(self.stage, Stage::Probing(..))
    }

    /// Whether somebody else who uses it had it before.
    pub fn is_young(&self, now_ms: u64) -> bool {
        self.won_ms.is_none_or(|won_ms| now_ms < won_ms + YOUNG_MS)
    }

    /// Everybody is told again: the cable was plugged in somewhere.
    pub fn announce(&mut self, now_ms: u64) {
        if self.is_won() {
            self.stage = Stage::Announcing(ANNOUNCEMENTS, now_ms);
        }
    }

    /// Hears a frame (RFC 5227, 2.1.1 and 2.4).
    pub fn hear(&self, arp: &Arp) -> Heard {
        let (station, address) = arp.sender;
        if station == self.own {
            return Heard::Nothing;
        }
        let uses = address == self.address;
        let wants = arp.is_request && address.is_unspecified() && arp.target == self.address;
        match self.stage {
            Stage::Probing(..) if uses || wants => Heard::Taken(station),
            Stage::Announcing(..) | Stage::Held if uses => Heard::Challenged(station),
            _ => Heard::Nothing,
        }
    }

    /// Somebody else uses it: it is kept, and everybody told so, but not again and again. Whether this is news.
    pub fn defend(&mut self, now_ms: u64) -> bool {
        let rests = self
            .defended_ms
            .is_some_and(|then_ms| now_ms < then_ms + DEFENCE_MS);
        if !rests {
            self.defended_ms = Some(now_ms);
            self.stage = Stage::Announcing(1, now_ms);
        }
        !rests
    }

    /// What is to be sent now, and time goes on.
    pub fn speak(&mut self, now_ms: u64) -> Option<Message> {
        if let Stage::Probing(0, at_ms) = self.stage
            && now_ms >= at_ms
        {
            self.stage = Stage::Announcing(ANNOUNCEMENTS, now_ms);
            self.won_ms = Some(now_ms);
        }
        match self.stage {
            Stage::Probing(left @ 1.., at_ms) if now_ms >= at_ms => {
                let wait_ms = match left {
                    1 => SILENCE_MS,
                    _ => PROBE_MS + self.spread_ms,
                };
                self.stage = Stage::Probing(left - 1, now_ms + wait_ms);
                Some(Message::Probe)
            }
            Stage::Announcing(left, at_ms) if now_ms >= at_ms => {
                self.stage = match left {
                    0 | 1 => Stage::Held,
                    left => Stage::Announcing(left - 1, now_ms + ANNOUNCEMENT_MS),
                };
                Some(Message::Announcement)
            }
            _ => None,
        }
    }

    /// In how many milliseconds something is due.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        match self.stage {
            Stage::Probing(_, at_ms) | Stage::Announcing(_, at_ms) => {
                Some(at_ms.saturating_sub(now_ms))
            }
            Stage::Held => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn arp(sender: (Mac, Ipv4Addr), is_request: bool, target: Ipv4Addr) -> Arp {
        Arp {
            is_request,
            sender,
            target,
        }
    }

    /// Lets time pass until it says something.
    fn wait(claim: &mut Claim, now_ms: &mut u64) -> Message {
        loop {
            if let Some(message) = claim.speak(*now_ms) {
                return message;
            }
            *now_ms += claim.next_ms(*now_ms).unwrap().max(1);
        }
    }

    #[test]
    fn silence_wins_and_is_announced() {
        let (mut claim, mut now_ms) = (Claim::new(OWN, ADDRESS, u64::MAX, 0), 0);
        for _ in 0..3 {
            assert_eq!(wait(&mut claim, &mut now_ms), Message::Probe);
            assert!(!claim.is_won());
        }
        assert_eq!(wait(&mut claim, &mut now_ms), Message::Announcement);
        assert!(claim.is_won());
        assert!((600..1000).contains(&now_ms), "{now_ms}");
        assert_eq!(wait(&mut claim, &mut now_ms), Message::Announcement);
        assert_eq!(claim.next_ms(now_ms), None);
    }

    #[test]
    fn who_has_it_or_wants_it_as_well_is_heard() {
        let claim = Claim::new(OWN, ADDRESS, 0, 0);
        let nobody = Ipv4Addr::UNSPECIFIED;
        let other = Ipv4Addr::new(10, 0, 0, 2);
        for (said, heard) in [
            (arp((OTHER, ADDRESS), false, nobody), Heard::Taken(OTHER)),
            (arp((OTHER, ADDRESS), true, other), Heard::Taken(OTHER)),
            (arp((OTHER, nobody), true, ADDRESS), Heard::Taken(OTHER)),
            (arp((OTHER, other), true, ADDRESS), Heard::Nothing),
            (arp((OTHER, nobody), true, other), Heard::Nothing),
            (arp((OWN, nobody), true, ADDRESS), Heard::Nothing),
        ] {
            assert_eq!(claim.hear(&said), heard, "{said:?}");
        }
    }

    #[test]
    fn it_is_defended_now_and_then() {
        let (mut claim, mut now_ms) = (Claim::new(OWN, ADDRESS, 0, 0), 0);
        while claim.next_ms(now_ms).is_some() {
            wait(&mut claim, &mut now_ms);
        }
        assert!(claim.is_young(now_ms) && !claim.is_young(now_ms + 10_000));
        let challenge = arp((OTHER, ADDRESS), true, ADDRESS);
        assert_eq!(claim.hear(&challenge), Heard::Challenged(OTHER));
        assert!(claim.defend(now_ms));
        assert_eq!(claim.speak(now_ms), Some(Message::Announcement));
        assert!(!claim.defend(now_ms + 9_999));
        assert_eq!(claim.speak(now_ms + 9_999), None);
        assert!(claim.defend(now_ms + 10_000));
        let probe = arp((OTHER, Ipv4Addr::UNSPECIFIED), true, ADDRESS);
        assert_eq!(
            claim.hear(&probe),
            Heard::Nothing,
            "answered as any question is"
        );
    }
}
