//! Telnet (RFC 854) as a terminal's line needs it: the server echoes (RFC 857), nobody says "go ahead" (RFC 858), and bytes have eight
//! bits both ways (RFC 856). Everything else that is proposed is refused.

use heapless::Deque;

mod bits {
    //! Bytes behind IAC (RFC 854, "TELNET command structure"), and options.
    pub const SE: u8 = 240;
    pub const SB: u8 = 250;
    pub const WILL: u8 = 251;
    pub const WONT: u8 = 252;
    pub const DO: u8 = 253;
    pub const DONT: u8 = 254;
    pub const IAC: u8 = 255;

    pub const BINARY: u8 = 0;
    pub const ECHO: u8 = 1;
    pub const SUPPRESS_GO_AHEAD: u8 = 3;
}
use bits::*;

/// Most bytes that one becomes.
pub const ENCODED_BYTES: usize = 2;
/// Bytes of commands that wait to be sent. A peer that makes more of them necessary at once gets no answer to the rest.
const REPLY_BYTES: usize = 48;

/// What we do, if the peer lets us.
const OURS: [u8; 3] = [BINARY, ECHO, SUPPRESS_GO_AHEAD];
/// What the peer is to do.
const THEIRS: [u8; 2] = [BINARY, SUPPRESS_GO_AHEAD];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Data,
    /// A carriage return came, of a peer whose bytes have seven bits: what follows belongs to it.
    Return,
    Command,
    Option(u8),
    Subnegotiation,
    SubnegotiationCommand,
}

/// One end of a line.
pub struct Telnet {
    place: Place,
    replies: Deque<u8, REPLY_BYTES>,
    /// The peer sends all eight bits.
    receives_binary: bool,
    /// It takes them.
    sends_binary: bool,
    /// The last byte that went out was a carriage return.
    after_return: bool,
}

impl Default for Telnet {
    fn default() -> Self {
        Self::new()
    }
}

impl Telnet {
    /// A line that begins, with our proposals to be sent.
    pub fn new() -> Self {
        let mut telnet = Self {
            place: Place::Data,
            replies: Deque::new(),
            receives_binary: false,
            sends_binary: false,
            after_return: false,
        };
        for option in OURS {
            telnet.command(WILL, option);
        }
        for option in THEIRS {
            telnet.command(DO, option);
        }
        telnet
    }

    fn command(&mut self, verb: u8, option: u8) {
        if self.replies.capacity() - self.replies.len() >= 3 {
            for byte in [IAC, verb, option] {
                // There is room for three.
                let _ = self.replies.push_back(byte);
            }
        }
    }

    /// The next byte that is to be sent as it is, before anything else.
    pub fn reply(&mut self) -> Option<u8> {
        self.replies.pop_front()
    }

    /// What a byte from the peer is for the line.
    pub fn decode(&mut self, byte: u8) -> Option<u8> {
        let place = self.place;
        self.place = Place::Data;
        match (place, byte) {
            (Place::Data | Place::Return, IAC) => self.place = Place::Command,
            // RFC 854: a return alone has a NUL behind it; a new line is a return and a line feed. Enter is a return here.
            (Place::Return, b'\0' | b'\n') => {}
            (Place::Data | Place::Return, byte) => {
                if byte == b'\r' && !self.receives_binary {
                    self.place = Place::Return;
                }
                return Some(byte);
            }
            (Place::Command, IAC) => return Some(IAC),
            (Place::Command, SB) => self.place = Place::Subnegotiation,
            (Place::Command, WILL | WONT | DO | DONT) => self.place = Place::Option(byte),
            // Break, interrupt, are you there, and so on: not for this line.
            (Place::Command, _) => {}
            (Place::Option(verb), option) => self.negotiate(verb, option),
            (Place::Subnegotiation, IAC) => self.place = Place::SubnegotiationCommand,
            (Place::Subnegotiation, _) => self.place = Place::Subnegotiation,
            (Place::SubnegotiationCommand, SE) => {}
            (Place::SubnegotiationCommand, _) => self.place = Place::Subnegotiation,
        }
        None
    }

    /// Answers what is not an answer itself.
    fn negotiate(&mut self, verb: u8, option: u8) {
        match verb {
            DO if OURS.contains(&option) => self.sends_binary |= option == BINARY,
            DO => self.command(WONT, option),
            DONT if option == BINARY => self.sends_binary = false,
            WILL if THEIRS.contains(&option) => self.receives_binary |= option == BINARY,
            WILL => self.command(DONT, option),
            WONT if option == BINARY => self.receives_binary = false,
            _ => {}
        }
    }

    /// Puts a byte of the line, as the peer is to get it, into `out`; how many bytes it became.
    pub fn encode(&mut self, byte: u8, out: &mut [u8; ENCODED_BYTES]) -> usize {
        let lone_return = core::mem::take(&mut self.after_return) && byte != b'\n';
        self.after_return = byte == b'\r' && !self.sends_binary;
        *out = match (byte, lone_return) {
            (IAC, _) => [IAC, IAC],
            // Of a return and IAC the NUL is left out: terminals pass over it anyway.
            (byte, true) if byte != b'\r' => [b'\0', byte],
            (byte, _) => {
                out[0] = byte;
                return 1;
            }
        };
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn decode(telnet: &mut Telnet, bytes: &[u8]) -> Vec<u8> {
        bytes
            .iter()
            .filter_map(|byte| telnet.decode(*byte))
            .collect()
    }

    fn replies(telnet: &mut Telnet) -> Vec<u8> {
        core::iter::from_fn(|| telnet.reply()).collect()
    }

    fn encode(telnet: &mut Telnet, bytes: &[u8]) -> Vec<u8> {
        let mut out = [0; ENCODED_BYTES];
        bytes
            .iter()
            .flat_map(|byte| {
                let length = telnet.encode(*byte, &mut out);
                out[..length].to_vec()
            })
            .collect()
    }

    #[test]
    fn what_linuxs_client_says_is_understood() {
        let mut telnet = Telnet::new();
        assert_eq!(replies(&mut telnet).len(), 15);
        // Its answers, and its own proposals: window size, terminal type.
        let said = [
            IAC,
            DO,
            ECHO,
            IAC,
            DO,
            SUPPRESS_GO_AHEAD,
            IAC,
            WILL,
            31,
            IAC,
            SB,
            31,
            0,
            80,
            0,
            24,
            IAC,
            SE,
            IAC,
            WILL,
            24,
        ];
        assert_eq!(decode(&mut telnet, &said), b"");
        assert_eq!(replies(&mut telnet), [IAC, DONT, 31, IAC, DONT, 24]);
        assert_eq!(decode(&mut telnet, b"ls\r\0ls\r\nx"), b"ls\rls\rx");
        assert_eq!(encode(&mut telnet, b"a\r\nb\rc"), b"a\r\nb\r\0c");
    }

    #[test]
    fn with_eight_bits_bytes_are_themselves() {
        let mut telnet = Telnet::new();
        replies(&mut telnet);
        decode(&mut telnet, &[IAC, DO, BINARY, IAC, WILL, BINARY]);
        assert!(replies(&mut telnet).is_empty());
        assert_eq!(decode(&mut telnet, b"\r\n\xff\xff\0"), b"\r\n\xff\0");
        assert_eq!(encode(&mut telnet, b"\rx\xff"), b"\rx\xff\xff");
    }

    #[test]
    fn refusals_are_not_refused() {
        let mut telnet = Telnet::new();
        replies(&mut telnet);
        decode(
            &mut telnet,
            &[IAC, DONT, ECHO, IAC, WONT, BINARY, IAC, WONT, 99],
        );
        assert!(replies(&mut telnet).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut telnet = Telnet::new();
            let got = decode(&mut telnet, &bytes);
            prop_assert!(got.len() <= bytes.len());
            prop_assert!(replies(&mut telnet).len() <= REPLY_BYTES);
        }

        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut one, mut other) = (Telnet::new(), Telnet::new());
            decode(&mut one, &[IAC, DO, BINARY]);
            decode(&mut other, &[IAC, WILL, BINARY]);
            let sent = encode(&mut one, &bytes);
            prop_assert_eq!(decode(&mut other, &sent), bytes);
        }
    }
}
