//! TFTP, reading (RFC 1350) with options for block size and file size (RFC 2347, 2348, 2349).
//!
//! A block is acknowledged when it was taken, so that who takes slowly is sent slowly.

use super::super::call::Call;
use super::station::{PAYLOAD_BYTES, Station};
use super::wire::{Datagram, Endpoint};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use hvm::Instant;
use serde::{Deserialize, Serialize};

/// Where servers listen.
pub const SERVER_PORT: u16 = 69;
/// The block size without options.
pub const PLAIN_BLOCK_BYTES: u16 = 512;
/// The largest block that a frame carries.
pub const MOST_BLOCK_BYTES: u16 = PAYLOAD_BYTES as u16 - HEADER_BYTES as u16;

const HEADER_BYTES: usize = 4;
const FIRST_WAIT_NS: u64 = 1_000_000_000;
/// Waits double up to 8 s.
const MOST_DOUBLINGS: u8 = 3;
/// Times that something is sent before the server is given up: some 20 seconds.
const TRIES: u8 = 5;

const READ: u16 = 1;
const DATA: u16 = 3;
const ACKNOWLEDGE: u16 = 4;
const ERROR: u16 = 5;
const OPTIONS: u16 = 6;

/// Error codes of servers.
#[allow(missing_docs)]
pub mod error {
    pub const NOT_FOUND: u16 = 1;
    pub const ACCESS: u16 = 2;
    pub const OPTIONS: u16 = 8;
}

/// Why a file does not come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The server does not answer, or no longer.
    Silent,
    /// It says no.
    Refused { code: u16, text: String },
    /// It says what makes no sense.
    Nonsense,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str(
                "the TFTP server does not answer; see that it runs and is not behind a firewall",
            ),
            Self::Refused { code, text } if *code == error::NOT_FOUND => {
                write!(
                    f,
                    "the TFTP server has no such file (\"{text}\"); put it there, or name another in DHCP"
                )
            }
            Self::Refused { code, text } => write!(
                f,
                "the TFTP server says error {code}, \"{text}\"; see its log"
            ),
            Self::Nonsense => f.write_str("the TFTP server's answer breaks the protocol"),
        }
    }
}

/// Whether the server was asked with options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Asked {
    WithOptions,
    Plainly,
}

/// How far a transfer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The server has not answered yet.
    Asking,
    /// Blocks come.
    Open,
    /// The last block was taken.
    Done,
    /// It will not come.
    Failed(Failure),
}

/// One file on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    server: Endpoint,
    router: Ipv4Addr,
    local_port: u16,
    name: Vec<u8>,
    asked: Asked,
    phase: Phase,
    /// Bytes of a full block.
    pub block_bytes: u16,
    /// The whole file's, if the server told.
    pub file_bytes: Option<u32>,
    /// The last block that was acknowledged.
    pub block: u16,
    /// The next, if it is here.
    held: Option<Vec<u8>>,
    tries: u8,
    deadline: Instant,
}

/// What to ask for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who has it.
    pub server: Endpoint,
    /// Who leads there; unspecified for the station's own router.
    pub router: Ipv4Addr,
    /// Where answers go.
    pub local_port: u16,
    /// The file's name.
    pub name: &'a [u8],
    /// The block size to ask for.
    pub block_bytes: u16,
}

impl Client {
    /// Asks for a file.
    pub fn open(call: &mut Call<'_>, station: &mut Station, request: Request<'_>) -> Self {
        let mut client = Self {
            server: request.server,
            router: request.router,
            local_port: request.local_port,
            name: request.name.to_vec(),
            asked: Asked::WithOptions,
            phase: Phase::Asking,
            block_bytes: request
                .block_bytes
                .clamp(PLAIN_BLOCK_BYTES, MOST_BLOCK_BYTES),
            file_bytes: None,
            block: 0,
            held: None,
            tries: 0,
            deadline: Instant::ZERO,
        };
        client.send(call, station);
        client
    }

    /// How far it is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Sends what the server is to answer to.
    fn send(&mut self, call: &mut Call<'_>, station: &mut Station) {
        let bytes = match self.phase {
            Phase::Asking => self.question(),
            _ => [ACKNOWLEDGE.to_be_bytes(), self.block.to_be_bytes()].concat(),
        };
        station.send(call, self.local_port, self.server, self.router, &bytes);
        let wait = FIRST_WAIT_NS << self.tries.min(MOST_DOUBLINGS);
        self.deadline = call.machine.now() + wait;
        self.tries = self.tries.saturating_add(1);
    }

    fn question(&self) -> Vec<u8> {
        let mut bytes = READ.to_be_bytes().to_vec();
        let mut text = |text: &[u8]| {
            bytes.extend(text);
            bytes.push(0);
        };
        text(&self.name);
        text(b"octet");
        if self.asked == Asked::WithOptions {
            text(b"blksize");
            text(self.block_bytes.to_string().as_bytes());
            text(b"tsize");
            text(b"0");
        }
        bytes
    }

    /// Takes a datagram.
    pub fn hear(&mut self, call: &mut Call<'_>, station: &mut Station, datagram: &Datagram<'_>) {
        let meant = datagram.destination.port == self.local_port
            && datagram.source.address == self.server.address
            && (self.phase == Phase::Asking || datagram.source.port == self.server.port);
        if !meant || !matches!(self.phase, Phase::Asking | Phase::Open) {
            return;
        }
        let Some((code, rest)) = word(datagram.payload) else {
            return;
        };
        match code {
            DATA => self.take_data(call, station, datagram.source, rest),
            OPTIONS if self.phase == Phase::Asking && self.asked == Asked::WithOptions => {
                self.take_options(call, station, datagram.source, rest);
            }
            // The options came again: the acknowledgement was lost.
            OPTIONS if self.block == 0 && self.held.is_none() => self.send(call, station),
            ERROR => self.take_error(call, station, rest),
            _ => {}
        }
    }

    fn take_data(
        &mut self,
        call: &mut Call<'_>,
        station: &mut Station,
        source: Endpoint,
        rest: &[u8],
    ) {
        let Some((number, data)) = word(rest) else {
            return;
        };
        if self.phase == Phase::Asking {
            // A server without options.
            self.block_bytes = PLAIN_BLOCK_BYTES;
        }
        if data.len() > usize::from(self.block_bytes) {
            self.phase = Phase::Failed(Failure::Nonsense);
        } else if number == self.block.wrapping_add(1) {
            if self.phase == Phase::Asking {
                self.server = source;
                self.phase = Phase::Open;
            }
            self.tries = 0;
            if self.held.is_none() {
                self.held = Some(data.to_vec());
            }
        } else if number == self.block && self.phase == Phase::Open && self.held.is_none() {
            self.send(call, station);
        }
    }

    fn take_options(
        &mut self,
        call: &mut Call<'_>,
        station: &mut Station,
        source: Endpoint,
        rest: &[u8],
    ) {
        let mut texts = rest.split(|&byte| byte == 0);
        let mut block_bytes = PLAIN_BLOCK_BYTES;
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            let number = core::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse::<u32>().ok());
            if name.eq_ignore_ascii_case(b"tsize") {
                self.file_bytes = number;
            } else if name.eq_ignore_ascii_case(b"blksize") {
                let allowed = 8..=u32::from(self.block_bytes);
                let Some(number) = number.filter(|number| allowed.contains(number)) else {
                    self.phase = Phase::Failed(Failure::Nonsense);
                    return;
                };
                block_bytes = number as u16;
            }
        }
        self.block_bytes = block_bytes;
        self.server = source;
        self.phase = Phase::Open;
        self.tries = 0;
        self.send(call, station);
    }

    fn take_error(&mut self, call: &mut Call<'_>, station: &mut Station, rest: &[u8]) {
        let (code, text) = word(rest).unwrap_or((0, &[]));
        if code == error::OPTIONS && self.asked == Asked::WithOptions && self.phase == Phase::Asking
        {
            self.asked = Asked::Plainly;
            self.tries = 0;
            self.send(call, station);
            return;
        }
        let printable = text.iter().filter(|byte| (b' '..=b'~').contains(*byte));
        let text = printable.take(80).map(|&byte| char::from(byte)).collect();
        self.phase = Phase::Failed(Failure::Refused { code, text });
    }

    /// Sends again if it is time, or gives up.
    pub fn tick(&mut self, call: &mut Call<'_>, station: &mut Station) {
        let waits = matches!(self.phase, Phase::Asking | Phase::Open) && self.held.is_none();
        if !waits || call.machine.now() < self.deadline {
            return;
        }
        if self.tries >= TRIES {
            self.phase = Phase::Failed(Failure::Silent);
        } else {
            self.send(call, station);
        }
    }

    /// The next block, if it is here.
    pub fn held(&self) -> Option<&[u8]> {
        self.held.as_deref()
    }

    /// The block that is here was taken.
    pub fn acknowledge(&mut self, call: &mut Call<'_>, station: &mut Station) {
        let Some(held) = self.held.take() else {
            return;
        };
        self.block = self.block.wrapping_add(1);
        if held.len() < usize::from(self.block_bytes) {
            self.phase = Phase::Done;
        }
        self.send(call, station);
        self.tries = 0;
    }

    /// Tells the server that no more is wanted.
    pub fn abort(&mut self, call: &mut Call<'_>, station: &mut Station) {
        const NOT_DEFINED: u16 = 0;
        if self.phase == Phase::Open {
            let mut bytes = [ERROR.to_be_bytes(), NOT_DEFINED.to_be_bytes()].concat();
            bytes.extend(b"no more is wanted\0");
            station.send(call, self.local_port, self.server, self.router, &bytes);
            self.phase = Phase::Done;
        }
    }
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (&word, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(word), rest))
}
