//! A line of characters for one peer: raw or telnet, behind a password or not.

use super::login::{Login, Verdict};
use super::telnet::{ENCODED_BYTES, Telnet};
use super::{Session, Stage};
use heapless::Deque;

/// Bytes that are ready to be sent.
const READY_BYTES: usize = 256;

/// What is at the host's end of the line.
pub trait Line {
    /// The peer was let in.
    fn open(&mut self);
    /// Whether it takes a typed byte now.
    fn is_ready(&self) -> bool;
    /// The peer typed this.
    fn typed(&mut self, byte: u8);
    /// The next byte for the peer.
    fn next(&mut self) -> Option<u8>;
    /// Whether there is nothing more to come, ever.
    fn is_over(&self) -> bool;
    /// The peer is gone.
    fn close(&mut self);
}

enum Phase {
    Login(Login),
    Admitted,
    Refused,
}

/// The peer's end.
pub struct Terminal<L> {
    telnet: Option<Telnet>,
    phase: Phase,
    line: L,
    /// Encoded, and without room yet.
    ready: Deque<u8, READY_BYTES>,
}

impl<L: Line> Terminal<L> {
    /// A line that begins. Without a login the peer is let in at once.
    pub fn new(telnet: Option<Telnet>, login: Option<Login>, line: L) -> Self {
        let mut terminal = Self {
            telnet,
            phase: Phase::Admitted,
            line,
            ready: Deque::new(),
        };
        match login {
            None => terminal.line.open(),
            Some(login) => {
                terminal.phase = Phase::Login(login);
                terminal.say(b"Password: ");
            }
        }
        terminal
    }

    /// Text of our own: short enough that there is room.
    fn say(&mut self, text: &[u8]) {
        for byte in text {
            self.put(*byte);
        }
    }

    fn put(&mut self, byte: u8) {
        let mut encoded = [byte; ENCODED_BYTES];
        let length = match &mut self.telnet {
            Some(telnet) => telnet.encode(byte, &mut encoded),
            None => 1,
        };
        for byte in &encoded[..length] {
            // Whoever calls sees to the room; nothing else than a text could be cut.
            let _ = self.ready.push_back(*byte);
        }
    }

    fn heed(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Waiting => {}
            Verdict::Admitted => {
                self.say(b"\r\n");
                self.phase = Phase::Admitted;
                self.line.open();
            }
            Verdict::Again => self.say(b"\r\nThat is not it.\r\nPassword: "),
            Verdict::Refused => {
                self.say(b"\r\nNo.\r\n");
                self.phase = Phase::Refused;
            }
        }
    }

    fn is_ready(&self) -> bool {
        match &self.phase {
            Phase::Login(login) => login.is_ready(),
            Phase::Admitted => self.line.is_ready(),
            // What is typed is passed over.
            Phase::Refused => true,
        }
    }

    fn typed(&mut self, byte: u8, now_ms: u64) {
        match &mut self.phase {
            Phase::Login(login) => {
                let verdict = login.typed(byte, now_ms);
                self.heed(verdict);
            }
            Phase::Admitted => self.line.typed(byte),
            Phase::Refused => {}
        }
    }

    /// Makes bytes ready: answers of the protocol, then what the line has.
    fn fill(&mut self) {
        const MOST: usize = 2 * ENCODED_BYTES;
        while self.ready.capacity() - self.ready.len() >= MOST {
            if let Some(byte) = self.telnet.as_mut().and_then(Telnet::reply) {
                // There is room.
                let _ = self.ready.push_back(byte);
            } else if matches!(self.phase, Phase::Admitted)
                && let Some(byte) = self.line.next()
            {
                self.put(byte);
            } else {
                return;
            }
        }
    }
}

impl<L: Line, W: ?Sized> Session<W> for Terminal<L> {
    fn receive(&mut self, bytes: &[u8], _: &mut W, now_ms: u64) -> usize {
        let mut taken = 0;
        for &byte in bytes {
            if !self.is_ready() {
                break;
            }
            taken += 1;
            let byte = match &mut self.telnet {
                Some(telnet) => telnet.decode(byte),
                None => Some(byte),
            };
            if let Some(byte) = byte {
                self.typed(byte, now_ms);
            }
        }
        taken
    }

    fn send(&mut self, room: &mut [u8], _: &mut W, now_ms: u64) -> usize {
        if let Phase::Login(login) = &mut self.phase {
            let verdict = login.wait(now_ms);
            self.heed(verdict);
        }
        let mut put = 0;
        while put < room.len() {
            if self.ready.is_empty() {
                self.fill();
            }
            let Some(byte) = self.ready.pop_front() else {
                break;
            };
            room[put] = byte;
            put += 1;
        }
        put
    }

    fn stage(&self) -> Stage {
        let is_over = match &self.phase {
            Phase::Login(_) => return Stage::Entering,
            Phase::Admitted => self.line.is_over(),
            Phase::Refused => true,
        };
        match is_over && self.ready.is_empty() {
            true => Stage::Over,
            false => Stage::Open,
        }
    }

    fn next_ms(&self, now_ms: u64) -> Option<u64> {
        match &self.phase {
            Phase::Login(login) => Some(login.next_ms(now_ms)),
            _ => None,
        }
    }

    fn close(&mut self, _: &mut W) {
        self.line.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    #[derive(Default)]
    struct Echo {
        open: bool,
        bytes: VecDeque<u8>,
    }

    impl Line for Echo {
        fn open(&mut self) {
            self.open = true;
            self.bytes.extend(b"hello ");
        }
        fn is_ready(&self) -> bool {
            self.bytes.len() < 8
        }
        fn typed(&mut self, byte: u8) {
            assert!(self.open);
            self.bytes.push_back(byte);
        }
        fn next(&mut self) -> Option<u8> {
            assert!(self.open);
            self.bytes.pop_front()
        }
        fn is_over(&self) -> bool {
            false
        }
        fn close(&mut self) {}
    }

    /// Types with a peer that takes `room` bytes at a time.
    fn talk(terminal: &mut Terminal<Echo>, mut typed: &[u8], room: usize, now_ms: u64) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            let taken = terminal.receive(typed, &mut (), now_ms);
            typed = &typed[taken..];
            let mut bytes = std::vec![0; room];
            let put = terminal.send(&mut bytes, &mut (), now_ms);
            heard.extend(&bytes[..put]);
            if taken == 0 && put == 0 {
                return heard;
            }
        }
    }

    #[test]
    fn a_raw_line_is_bytes() {
        let mut terminal = Terminal::new(None, None, Echo::default());
        let heard = talk(&mut terminal, b"this is longer than it takes \xff\r", 5, 0);
        assert_eq!(heard, b"hello this is longer than it takes \xff\r");
    }

    #[test]
    fn behind_a_password_nothing_is_reached_without_it() {
        let login = || Some(Login::new(b"geheim", 0));
        let mut terminal = Terminal::new(None, login(), Echo::default());
        assert_eq!(talk(&mut terminal, b"reset\r", 9, 0), b"Password: ");
        assert_eq!(talk(&mut terminal, b"geheim\rx", 9, 999), b"");
        let heard = talk(&mut terminal, b"geheim\rx", 9, 1000);
        assert!(heard.starts_with(b"\r\nThat is not it.\r\nPassword: "));
        assert!(heard.ends_with(b"\r\nhello x"), "{heard:?}");
        let mut terminal = Terminal::new(None, login(), Echo::default());
        for attempt in 0..3 {
            talk(&mut terminal, b"wrong\r", 64, 2000 * attempt);
        }
        assert_eq!(Session::<()>::stage(&terminal), Stage::Entering);
        let heard = talk(&mut terminal, b"geheim\r", 64, 9000);
        assert_eq!(heard, b"\r\nNo.\r\n");
        assert_eq!(Session::<()>::stage(&terminal), Stage::Over);
    }

    proptest! {
        #[test]
        fn telnet_or_raw_any_bytes_cost_no_more_than_their_room(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            telnet in any::<bool>(),
            secret in any::<bool>(),
            room in 1_usize..20,
        ) {
            let telnet = telnet.then(Telnet::new);
            let login = secret.then(|| Login::new(b"x", 0));
            let mut terminal = Terminal::new(telnet, login, Echo::default());
            for step in 0..40 {
                talk(&mut terminal, &bytes, room, step * 700);
                prop_assert!(terminal.line.bytes.len() <= 16);
            }
        }
    }
}
