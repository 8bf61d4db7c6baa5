//! How a viewer introduces itself and is let in (RFC 6143, 7.1 to 7.3.1).

use super::bits::security;
use super::security::{CHALLENGE_BYTES, is_right};
use alloc::vec::Vec;
use heapless::Vec as Few;

/// The newest version that we know, which the viewer answers.
pub const VERSION: &[u8; 12] = b"RFB 003.008\n";
/// How late a wrong answer is told.
const DELAY_MS: u64 = 1000;

/// Versions as far as they differ (RFC 6143, appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3_3,
    V3_7,
    V3_8,
}

impl Version {
    fn read(said: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(said).ok()?;
        let numbers = text.strip_prefix("RFB ")?.strip_suffix('\n')?;
        let (major, minor) = numbers.split_once('.')?;
        let version: (u16, u16) = (major.parse().ok()?, minor.parse().ok()?);
        // RFC 6143, 7.1.1: any other is to be taken for 3.3; newer ones know what is older.
        Some(match version {
            (3, 7) => Self::V3_7,
            version if version >= (3, 8) => Self::V3_8,
            _ => Self::V3_3,
        })
    }
}

/// Whom a session admits.
pub enum Entrance {
    /// Anybody.
    Open,
    /// Who answers this challenge with the password.
    Password {
        /// The password.
        password: Few<u8, { crate::server::login::MAX_BYTES }>,
        /// What nobody can foresee.
        challenge: [u8; CHALLENGE_BYTES],
    },
}

impl Entrance {
    fn security(&self) -> u8 {
        match self {
            Self::Open => security::NONE,
            Self::Password { .. } => security::VNC,
        }
    }
}

/// What is awaited.
enum Step {
    Version,
    /// It chooses how to prove who it is.
    Security,
    Answer,
    /// The answer was wrong, which is told later.
    Wrong {
        tell_at_ms: u64,
    },
    Init,
}

/// What came of a byte, or of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Waiting,
    /// It is let in, and waits for the screen's size.
    Admitted,
    /// It is not; what it is told stands in what is to be sent.
    Refused,
}

/// An introduction.
pub struct Handshake {
    step: Step,
    version: Version,
    entrance: Entrance,
    held: Few<u8, CHALLENGE_BYTES>,
}

impl Handshake {
    /// With someone who was told [`VERSION`].
    pub fn new(entrance: Entrance) -> Self {
        Self {
            step: Step::Version,
            version: Version::V3_8,
            entrance,
            held: Few::new(),
        }
    }

    /// Whether it takes a byte now.
    pub fn is_ready(&self) -> bool {
        !matches!(self.step, Step::Wrong { .. })
    }

    /// In how many milliseconds it has something to tell.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        match self.step {
            Step::Wrong { tell_at_ms } => Some(tell_at_ms.saturating_sub(now_ms)),
            _ => None,
        }
    }

    /// Takes one byte; answers go to `out`.
    pub fn byte(&mut self, byte: u8, out: &mut Vec<u8>, now_ms: u64) -> Outcome {
        // Emptied before it is full, below.
        let _ = self.held.push(byte);
        match self.step {
            Step::Version if self.held.len() == VERSION.len() => {
                let Some(version) = Version::read(&self.held) else {
                    return Outcome::Refused;
                };
                self.version = version;
                self.offer(out);
            }
            Step::Security => {
                if byte != self.entrance.security() {
                    return Outcome::Refused;
                }
                self.ask(out);
            }
            Step::Answer if self.held.len() == CHALLENGE_BYTES => self.judge(out, now_ms),
            // Whether others may look, too: they may in any case.
            Step::Init => return Outcome::Admitted,
            _ => return Outcome::Waiting,
        }
        self.held.clear();
        Outcome::Waiting
    }

    /// Tells what was kept back, when it is time.
    pub fn tick(&mut self, out: &mut Vec<u8>, now_ms: u64) -> Outcome {
        match self.step {
            Step::Wrong { tell_at_ms } if tell_at_ms <= now_ms => {
                self.refuse(out);
                Outcome::Refused
            }
            _ => Outcome::Waiting,
        }
    }

    fn offer(&mut self, out: &mut Vec<u8>) {
        let kind = self.entrance.security();
        if self.version == Version::V3_3 {
            out.extend_from_slice(&[0, 0, 0, kind]);
            self.ask(out);
        } else {
            out.extend_from_slice(&[1, kind]);
            self.step = Step::Security;
        }
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        match &self.entrance {
            Entrance::Open if self.version == Version::V3_8 => self.admit(out),
            Entrance::Open => self.step = Step::Init,
            Entrance::Password { challenge, .. } => {
                out.extend_from_slice(challenge);
                self.step = Step::Answer;
            }
        }
    }

    fn judge(&mut self, out: &mut Vec<u8>, now_ms: u64) {
        let is_right = match &self.entrance {
            Entrance::Open => true,
            Entrance::Password {
                password,
                challenge,
            } => is_right(password, challenge, &self.held),
        };
        if is_right {
            return self.admit(out);
        }
        self.step = Step::Wrong {
            tell_at_ms: now_ms + DELAY_MS,
        };
    }

    fn admit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0; 4]);
        self.step = Step::Init;
    }

    /// RFC 6143, 7.1.3: from 3.8 on with a reason.
    fn refuse(&mut self, out: &mut Vec<u8>) {
        const REASON: &[u8] = b"That is not the password.";
        out.extend_from_slice(&[0, 0, 0, 1]);
        if self.version == Version::V3_8 {
            out.extend_from_slice(&(REASON.len() as u32).to_be_bytes());
            out.extend_from_slice(REASON);
        }
    }
}
