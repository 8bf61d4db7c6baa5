//! The wall clock from a time server: SNTP (RFC 4330, RFC 5905).

/// The server's port.
pub const PORT: u16 = 123;
/// Bytes of a message without extensions.
pub const MESSAGE_BYTES: usize = 48;
/// Seconds from 1900, where the protocol counts from, to 1970.
const EPOCH_S: u64 = 2_208_988_800;
/// Seconds of an era: counting starts anew in 2036.
const ERA_S: u64 = 1 << 32;
/// After a question without an answer the next waits twice as long.
const FIRST_WAIT_MS: u64 = 4_000;
const LONGEST_WAIT_MS: u64 = 64_000;
/// An answer that takes longer says too little of when it was given.
const MOST_ROUND_MS: u64 = 2_000;
/// From answer to question.
const REST_MS: u64 = 3_600_000;

/// The wall clock, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// Milliseconds since 1970…
    unix_ms: u64,
    /// …at this moment of the host's own time.
    at_ms: u64,
}

impl WallClock {
    /// Milliseconds since 1970.
    pub fn unix_ms(self, now_ms: u64) -> u64 {
        self.unix_ms + now_ms.saturating_sub(self.at_ms)
    }
}

/// Asks one server.
#[derive(Debug, Default)]
pub struct Sntp {
    /// The question that waits for an answer: its mark, and when it was asked.
    asked: Option<(u64, u64)>,
    wait_ms: u64,
    next_ms: u64,
}

impl Sntp {
    /// When the next question is due.
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        self.next_ms.saturating_sub(now_ms)
    }

    /// A question, if one is due. `mark` is what nobody can foresee.
    pub fn ask(&mut self, mark: u64, now_ms: u64) -> Option<[u8; MESSAGE_BYTES]> {
        if now_ms < self.next_ms {
            return None;
        }
        self.wait_ms = (self.wait_ms * 2).clamp(FIRST_WAIT_MS, LONGEST_WAIT_MS);
        self.next_ms = now_ms + self.wait_ms;
        self.asked = Some((mark, now_ms));
        let mut message = [0; MESSAGE_BYTES];
        // Version 4, client (RFC 5905, 7.3). The mark stands where our time would: the server repeats it and looks at nothing else.
        message[0] = 4 << 3 | 3;
        message[40..].copy_from_slice(&mark.to_be_bytes());
        Some(message)
    }

    /// What an answer says; `None` if it is none, or not to our question.
    pub fn answer(&mut self, message: &[u8], now_ms: u64) -> Option<WallClock> {
        let message: &[u8; MESSAGE_BYTES] = message.first_chunk()?;
        let (mark, asked_ms) = self.asked?;
        let (leap, mode, stratum) = (message[0] >> 6, message[0] & 7, message[1]);
        let number = |at: usize| {
            message[at..at + 8]
                .iter()
                .fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        let (origin, sent) = (number(24), number(40));
        // Leap 3: it does not know the time itself; stratum 0: it wants to be left alone.
        let is_good = mode == 4 && leap != 3 && (1..=15).contains(&stratum);
        if !is_good || origin != mark || sent == 0 {
            return None;
        }
        if now_ms.saturating_sub(asked_ms) > MOST_ROUND_MS {
            self.asked = None;
            self.next_ms = now_ms;
            return None;
        }
        let (seconds, fraction) = (sent >> 32, sent & 0xffff_ffff);
        // RFC 4330, 3: with bit 0 set it is before 2036, else after.
        let era = match seconds >> 31 {
            0 => ERA_S,
            _ => 0,
        };
        let unix_s = (seconds + era).checked_sub(EPOCH_S)?;
        let unix_ms = unix_s * 1000 + ((fraction * 1000) >> 32);
        self.asked = None;
        self.wait_ms = 0;
        self.next_ms = now_ms.saturating_add(REST_MS);
        Some(WallClock {
            // Half of the way there and back.
            unix_ms: unix_ms + now_ms.saturating_sub(asked_ms) / 2,
            at_ms: now_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(mark: u64, seconds: u32) -> [u8; MESSAGE_BYTES] {
        let mut message = [0; MESSAGE_BYTES];
        message[0] = 4 << 3 | 4;
        message[1] = 2;
        message[24..32].copy_from_slice(&mark.to_be_bytes());
        message[40..44].copy_from_slice(&seconds.to_be_bytes());
        message[44] = 0x80;
        message
    }

    #[test]
    fn an_answer_sets_the_clock() {
        let mut sntp = Sntp::default();
        let question = sntp.ask(77, 1000).unwrap();
        assert_eq!((question[0], question[47]), (0x23, 77));
        assert_eq!(sntp.ask(78, 1001), None);
        // 2009-02-13 23:31:30.
        let seconds = (1_234_567_890 + EPOCH_S) as u32;
        assert_eq!(
            sntp.answer(&reply(78, seconds), 1040),
            None,
            "not our question"
        );
        let clock = sntp.answer(&reply(77, seconds), 1040).unwrap();
        assert_eq!(clock.unix_ms(1040), 1_234_567_890_520);
        assert_eq!(clock.unix_ms(2040), 1_234_567_891_520);
        assert_eq!(sntp.answer(&reply(77, seconds), 1050), None, "once only");
        assert_eq!(sntp.next_ms(1040), REST_MS);
    }

    #[test]
    fn an_answer_that_was_long_on_its_way_is_asked_for_again() {
        let mut sntp = Sntp::default();
        sntp.ask(1, 0).unwrap();
        assert_eq!(sntp.answer(&reply(1, 0x9000_0000), 2001), None);
        assert!(sntp.ask(2, 2001).is_some());
        assert!(sntp.answer(&reply(2, 0x9000_0000), 2010).is_some());
    }

    #[test]
    fn after_2036() {
        let mut sntp = Sntp::default();
        sntp.ask(1, 0).unwrap();
        let clock = sntp.answer(&reply(1, 5), 0).unwrap();
        assert_eq!(clock.unix_ms(0) / 1000, (1 << 32) + 5 - EPOCH_S);
    }

    #[test]
    fn a_server_that_is_silent_is_asked_less_and_less_often() {
        let mut sntp = Sntp::default();
        let mut now_ms = 0;
        for wait_ms in [4000, 8000, 16_000, 32_000, 64_000, 64_000] {
            assert!(sntp.ask(1, now_ms).is_some());
            assert_eq!(sntp.next_ms(now_ms), wait_ms);
            now_ms += wait_ms;
        }
    }

    #[test]
    fn a_server_without_time_is_not_believed() {
        for (at, byte) in [(0, 0xe4), (0, 0x25), (1, 0), (1, 16)] {
            let mut sntp = Sntp::default();
            sntp.ask(1, 0).unwrap();
            let mut message = reply(1, 0x9000_0000);
            message[at] = byte;
            assert_eq!(sntp.answer(&message, 0), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..60), mark: u64) {
            let mut sntp = Sntp::default();
            sntp.ask(mark, 0);
            let _ = sntp.answer(&bytes, 5);
            if bytes.len() >= MESSAGE_BYTES {
                let mut bytes = bytes.clone();
                bytes[24..32].copy_from_slice(&mark.to_be_bytes());
                let _ = sntp.answer(&bytes, u64::MAX);
            }
        }
    }
}
