//! The DHCP client of a boot ROM (PXE 2.1, chapter 2): an address, and which file to boot, told by the DHCP server or by one beside
//! it that only knows PXE (a proxy).
//!
//! A boot menu is the caller's to show ([`menu`]).

pub mod menu;
pub mod message;

use super::super::call::Call;
use super::station::Station;
use super::wire::{Datagram, Endpoint};
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use hvm::Instant;
use menu::{Menu, Patience};
use message::{Answer, Question, kind, option, vendor};
use serde::{Deserialize, Serialize};

const SECOND_NS: u64 = 1_000_000_000;
/// The first wait for an answer; each doubles.
const FIRST_WAIT_NS: u64 = 2 * SECOND_NS;
/// Questions of each kind before it is given up.
const TRIES: u8 = 4;
/// How long a proxy may come after the DHCP server.
const PROXY_WAIT_NS: u64 = SECOND_NS;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Where boot servers listen.
const BOOT_SERVER_PORT: u16 = 4011;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Who offers an address?
    Discover,
    /// An address is offered; whether a proxy knows a file shows until then.
    Settle(Instant),
    /// May the station have it?
    Request,
    /// Somebody may choose of a menu.
    Choose,
    /// What is to be booted, says a boot server.
    File(Ipv4Addr),
}

/// Why there is nothing to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answers.
    NoServer,
    /// A server takes its offer back.
    Refused(Ipv4Addr),
    /// A boot server does not answer.
    NoBootServer(Ipv4Addr),
    /// No file is named.
    NoFile(Ipv4Addr),
    /// The menu says that the machine is to boot from its own disk.
    Local,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str(
                "no DHCP server answered within 30 seconds; see that there is one on the guest's network",
            ),
            Self::Refused(server) => {
                write!(f, "the DHCP server {server} took its offer back; see its log")
            }
            Self::NoBootServer(server) => write!(
                f,
                "the boot server {server} does not answer on port {BOOT_SERVER_PORT}; see that it runs"
            ),
            Self::NoFile(server) => write!(
                f,
                "the DHCP server {server} names no boot file; set one there (option 67)"
            ),
            Self::Local => f.write_str("the server's boot menu says to boot from this machine"),
        }
    }
}

/// What DHCP gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The server that has the file.
    pub server: Ipv4Addr,
    /// The file's name.
    pub file: Vec<u8>,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something is waited for.
    Waiting,
    /// Of this menu one item is to be chosen: [`Client::choose`].
    Choose(Menu),
    /// It is known what to boot.
    Done(Found),
    /// It will not be known.
    Failed(Failure),
}

/// A client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    transaction: u32,
    phase: Phase,
    /// Which boot item is asked for.
    item: Option<u16>,
    tries: u8,
    deadline: Instant,
    offer: Option<Answer>,
    proxy: Option<Answer>,
    ack: Option<Answer>,
    reply: Option<Answer>,
    /// The question that was asked first.
    discover: Vec<u8>,
}

impl Client {
    /// Asks for an address.
    pub fn start(call: &mut Call<'_>, station: &mut Station) -> Self {
        let now = call.machine.now();
        let [.., a, b, c, d] = station.mac;
        let mut client = Self {
            transaction: u32::from_be_bytes([a, b, c, d]) ^ now.ns as u32,
            phase: Phase::Discover,
            item: None,
            tries: 0,
            deadline: now,
            offer: None,
            proxy: None,
            ack: None,
            reply: None,
            discover: Vec::new(),
        };
        client.ask(call, station, Phase::Discover);
        client
    }

    /// The packets that PXE keeps: the question, the answer that gave the address, and the one that named the file.
    pub fn packets(&self) -> [&[u8]; 3] {
        fn bytes(answer: Option<&Answer>) -> &[u8] {
            answer.map_or(&[], Answer::bytes)
        }
        let file = self.reply.as_ref().or(self.proxy.as_ref());
        [
            &self.discover,
            bytes(self.ack.as_ref()),
            bytes(file.or(self.ack.as_ref())),
        ]
    }

    fn ask(&mut self, call: &mut Call<'_>, station: &mut Station, phase: Phase) {
        self.phase = phase;
        self.tries = 0;
        self.send(call, station);
    }

    /// Sends the question of this phase, once more.
    fn send(&mut self, call: &mut Call<'_>, station: &mut Station) {
        let everybody = Endpoint::new(Ipv4Addr::BROADCAST, SERVER_PORT);
        let mut options = Vec::new();
        let (kind, to) = match self.phase {
            Phase::Discover => (kind::DISCOVER, everybody),
            Phase::Settle(_) | Phase::Choose => return,
            Phase::Request => {
                if let Some(offer) = &self.offer {
                    options.extend([option::ADDRESS, 4]);
                    options.extend(offer.address().octets());
                    if let Some(server) = offer.server() {
                        options.extend([option::SERVER, 4]);
                        options.extend(server.octets());
                    }
                }
                (kind::REQUEST, everybody)
            }
            Phase::File(server) => {
                if let Some(item) = self.item {
                    let [high, low] = item.to_be_bytes();
                    options.extend([
                        option::VENDOR,
                        7,
                        vendor::ITEM,
                        4,
                        high,
                        low,
                        0,
                        0,
                        option::END,
                    ]);
                }
                let port = match server.is_broadcast() {
                    true => SERVER_PORT,
                    false => BOOT_SERVER_PORT,
                };
                (kind::REQUEST, Endpoint::new(server, port))
            }
        };
        let question = Question {
            kind,
            transaction: self.transaction,
            mac: station.mac,
            address: station.address,
            options: &options,
        };
        let bytes = question.bytes();
        let router = Ipv4Addr::UNSPECIFIED;
        station.send(call, CLIENT_PORT, to, router, &bytes);
        if self.phase == Phase::Discover {
            self.discover = bytes;
        }
        self.deadline = call.machine.now() + (FIRST_WAIT_NS << self.tries.min(TRIES));
        self.tries = self.tries.saturating_add(1);
    }

    /// Takes a datagram.
    pub fn hear(
        &mut self,
        call: &mut Call<'_>,
        station: &mut Station,
        datagram: &Datagram<'_>,
    ) -> Progress {
        if datagram.destination.port != CLIENT_PORT {
            return Progress::Waiting;
        }
        let Some(answer) = Answer::parse(datagram.payload, self.transaction, station.mac) else {
            return Progress::Waiting;
        };
        match (self.phase, answer.kind()) {
            (Phase::Discover | Phase::Settle(_), kind::OFFER) => {
                self.take_offer(call, station, answer)
            }
            (Phase::Request, kind::ACK) => return self.take_address(call, station, answer),
            (Phase::Request, kind::NAK) => {
                let server = answer.server().unwrap_or(datagram.source.address);
                return Progress::Failed(Failure::Refused(server));
            }
            (Phase::File(server), kind::ACK | kind::OFFER) => {
                if answer.file().is_empty() {
                    return Progress::Failed(Failure::NoFile(server));
                }
                let source = datagram.source.address;
                let found = found(&answer, answer.file_server().unwrap_or(source));
                self.reply = Some(answer);
                return found;
            }
            _ => {}
        }
        Progress::Waiting
    }

    /// The first address that is offered is taken, and the first proxy is heard.
    fn take_offer(&mut self, call: &mut Call<'_>, station: &mut Station, answer: Answer) {
        if answer.address().is_unspecified() {
            if answer.is_pxe() && self.proxy.is_none() {
                self.proxy = Some(answer);
            }
        } else if self.offer.is_none() {
            self.offer = Some(answer);
        }
        let Some(offer) = &self.offer else {
            return;
        };
        if self.proxy.is_some() || !offer.file().is_empty() {
            self.ask(call, station, Phase::Request);
        } else if self.phase == Phase::Discover {
            let until = call.machine.now() + PROXY_WAIT_NS;
            self.phase = Phase::Settle(until);
            self.deadline = until;
        }
    }

    fn take_address(
        &mut self,
        call: &mut Call<'_>,
        station: &mut Station,
        answer: Answer,
    ) -> Progress {
        station.address = answer.address();
        station.mask = answer.mask();
        station.router = answer.router();
        let ack = self.ack.insert(answer);
        let dhcp_server = ack.server().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let details = self.proxy.as_ref().unwrap_or(ack);
        if let Some(menu) = Menu::of(details) {
            if menu.patience == Patience::None {
                return self.choose(call, station, menu.first());
            }
            self.phase = Phase::Choose;
            return Progress::Choose(menu);
        }
        if !details.file().is_empty() {
            return found(details, details.file_server().unwrap_or(dhcp_server));
        }
        match self.proxy.as_ref().map(Answer::server) {
            Some(server) => {
                let server = server.unwrap_or(Ipv4Addr::BROADCAST);
                self.ask(call, station, Phase::File(server));
                Progress::Waiting
            }
            None => Progress::Failed(Failure::NoFile(dhcp_server)),
        }
    }

    /// Asks for an item of the menu.
    pub fn choose(&mut self, call: &mut Call<'_>, station: &mut Station, item: u16) -> Progress {
        if item == 0 {
            return Progress::Failed(Failure::Local);
        }
        let details = self.proxy.as_ref().or(self.ack.as_ref());
        let server = details.and_then(|it| boot_server(it, item).or_else(|| it.server()));
        self.item = Some(item);
        let server = server.unwrap_or(Ipv4Addr::BROADCAST);
        self.ask(call, station, Phase::File(server));
        Progress::Waiting
    }

    /// Asks again if it is time, or gives up.
    pub fn tick(&mut self, call: &mut Call<'_>, station: &mut Station) -> Progress {
        if call.machine.now() < self.deadline {
            return Progress::Waiting;
        }
        match self.phase {
            Phase::Choose => {}
            Phase::Settle(_) => self.ask(call, station, Phase::Request),
            _ if self.tries < TRIES => self.send(call, station),
            Phase::File(server) => return Progress::Failed(Failure::NoBootServer(server)),
            Phase::Discover | Phase::Request => return Progress::Failed(Failure::NoServer),
        }
        Progress::Waiting
    }
}

fn found(answer: &Answer, server: Ipv4Addr) -> Progress {
    Progress::Done(Found {
        server,
        file: answer.file().to_vec(),
    })
}

/// The first server for an item (PXE_BOOT_SERVERS: type, count, addresses).
fn boot_server(answer: &Answer, item: u16) -> Option<Ipv4Addr> {
    let mut rest = answer.vendor(vendor::SERVERS)?;
    while let [high, low, count, later @ ..] = rest {
        let (servers, later) = later.split_at_checked(usize::from(*count) * 4)?;
        if u16::from_be_bytes([*high, *low]) == item {
            return servers.first_chunk::<4>().map(|&octets| octets.into());
        }
        rest = later;
    }
    None
}
