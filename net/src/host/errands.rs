//! What the host does on the network by itself: it answers to its name, asks for the time, and sends its log.

use super::mdns::{self, Audience, Claim, Name};
use super::sntp::{self, Sntp, WallClock};
use super::syslog::{self, Severity};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use heapless::Vec as Few;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket, UdpMetadata};
use smoltcp::wire::{IpCidr, IpEndpoint};

/// Groups of multicast DNS (RFC 6762, 3).
const GROUPS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb)),
];
/// RFC 6762, 11.
const HOP_LIMIT: u8 = 255;
/// How often a name is asked for before it is taken, how far apart, and after how long at most the first time (RFC 6762, 8.1).
const PROBES: u8 = 3;
const PROBE_MS: u64 = 250;
/// How long who loses to another probe waits (RFC 6762, 8.2), and who has lost too many names (8.1).
const LOSER_MS: u64 = 1000;
const MANY_LOSSES: u32 = 15;
const MANY_LOSSES_MS: u64 = 5000;
/// How often addresses are announced, and how far apart (RFC 6762, 8.3).
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCEMENT_MS: u64 = 1000;
/// Datagrams that wait in a socket, and their bytes.
const DATAGRAMS: usize = 8;
const DATAGRAM_BYTES: usize = 4096;
/// Datagrams that one turn looks at.
const TURN_DATAGRAMS: usize = 8;
/// Port that questions for the time come from, and the log.
pub(super) const TIME_PORT: u16 = 49_123;
pub(super) const LOG_PORT: u16 = 49_514;

/// Addresses of the host.
type Addresses = Few<IpAddr, 8>;

/// How far the name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has been asked yet.
    New,
    /// Somebody may have it: questions that are left, and when the next is due, or when silence means that it is ours.
    Probing(u8, u64),
    /// It is ours: announcements that are left, and when the next is due.
    Announcing(u8, u64),
    /// It is ours, and everybody was told.
    Known,
}

/// The errands. Nothing is done of which nobody has spoken.
pub struct Errands {
    name: Option<(Name, SocketHandle)>,
    told: Addresses,
    stage: Stage,
    /// Names that were lost.
    losses: u32,
    time: Option<(IpAddr, SocketHandle, Sntp)>,
    /// The host has an address to ask for the time from.
    may_ask: bool,
    clock: Option<WallClock>,
    log: Option<(SocketAddr, SocketHandle)>,
    dice: u64,
    text: String,
}

impl Errands {
    /// None yet. `seed` is what nobody can guess.
    pub fn new(seed: u64) -> Self {
        Self {
            name: None,
            told: Few::new(),
            stage: Stage::New,
            losses: 0,
            time: None,
            may_ask: false,
            clock: None,
            log: None,
            dice: seed,
            text: String::new(),
        }
    }

    /// The host has this name from now on.
    pub fn introduce(
        &mut self,
        name: Name,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) {
        let socket = match self.name.take() {
            Some((_, socket)) => socket,
            None => {
                let socket = add_udp(sockets, mdns::PORT);
                sockets
                    .get_mut::<Socket<'_>>(socket)
                    .set_hop_limit(Some(HOP_LIMIT));
                for group in GROUPS {
                    // There is room for both.
                    let _ = interface.join_multicast_group(group);
                }
                socket
            }
        };
        self.name = Some((name, socket));
        self.told.clear();
        self.stage = Stage::New;
    }

    /// The name.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref().map(|(name, _)| name)
    }

    /// This server knows the time; the first one that is named counts.
    pub fn ask_time_of(&mut self, server: IpAddr, sockets: &mut SocketSet<'static>) {
        if self.time.is_none() {
            let socket = add_udp(sockets, TIME_PORT);
            self.time = Some((server, socket, Sntp::default()));
        }
    }

    /// The wall clock, once it is known.
    pub fn clock(&self) -> Option<WallClock> {
        self.clock
    }

    /// This server takes the log.
    pub fn log_to(&mut self, server: SocketAddr, sockets: &mut SocketSet<'static>) {
        if self.log.is_none() {
            self.log = Some((server, add_udp(sockets, LOG_PORT)));
        }
    }

    /// Whether a line of the log would be taken now.
    pub fn takes_lines(&self, sockets: &SocketSet<'static>) -> bool {
        self.log.as_ref().is_some_and(|(_, socket)| {
            let socket = sockets.get::<Socket<'_>>(*socket);
            socket.can_send() && socket.send_queue() + syslog::MESSAGE_BYTES <= DATAGRAM_BYTES
        })
    }

    /// A line of the log, written `age_ms` ago.
    pub fn log(
        &mut self,
        severity: Severity,
        text: &str,
        age_ms: u64,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) {
        let Some((server, socket)) = &self.log else {
            return;
        };
        let unix_ms = self
            .clock
            .map(|clock| clock.unix_ms(now_ms).saturating_sub(age_ms));
        let name = self.name.as_ref().map_or("-", |(name, _)| name.as_str());
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = syslog::write(&mut self.text, severity, unix_ms, name, text);
        let bytes = self.text.as_bytes();
        let bytes = &bytes[..bytes.len().min(syslog::MESSAGE_BYTES)];
        let endpoint = IpEndpoint::new(server.ip().into(), server.port());
        // Without a way there the line is lost, as datagrams are.
        let _ = sockets
            .get_mut::<Socket<'_>>(*socket)
            .send_slice(bytes, endpoint);
    }

    /// Does what is due. True if something is to be sent.
    pub fn run(
        &mut self,
        interface: &Interface,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) -> bool {
        let addresses = addresses(interface);
        if addresses.is_empty() {
            return false;
        }
        let asked = self.ask_time(&addresses, sockets, now_ms);
        self.hear_time(sockets, now_ms);
        let answered = self.hear_names(interface, &addresses, sockets, now_ms);
        let announced = self.speak_of_name(&addresses, sockets, now_ms);
        asked || announced || answered
    }

    /// In how many milliseconds something is due.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let announcement = match self.stage {
            Stage::Probing(_, at_ms) | Stage::Announcing(_, at_ms) => {
                Some(at_ms.saturating_sub(now_ms))
            }
            Stage::New | Stage::Known => None,
        };
        let time = self.time.as_ref().filter(|_| self.may_ask);
        let question = time.map(|(.., sntp)| sntp.next_ms(now_ms));
        announcement.into_iter().chain(question).min()
    }

    /// A number that is not easily guessed (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ self.dice >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn ask_time(
        &mut self,
        addresses: &Addresses,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) -> bool {
        let mark = self.roll();
        let Some((server, socket, sntp)) = &mut self.time else {
            return false;
        };
        self.may_ask = addresses
            .iter()
            .any(|own| own.is_ipv4() == server.is_ipv4());
        if !self.may_ask {
            return false;
        }
        let Some(question) = sntp.ask(mark, now_ms) else {
            return false;
        };
        let endpoint = IpEndpoint::new((*server).into(), sntp::PORT);
        let socket = sockets.get_mut::<Socket<'_>>(*socket);
        if socket.send_queue() > 0 {
            // One that did not find its way yet would be answered first, and its mark is no longer known.
            socket.close();
            // As in `add_udp`.
            let _ = socket.bind(TIME_PORT);
        }
        // It is asked again.
        let _ = socket.send_slice(&question, endpoint);
        true
    }

    fn hear_time(&mut self, sockets: &mut SocketSet<'static>, now_ms: u64) {
        let Some((server, socket, sntp)) = &mut self.time else {
            return;
        };
        let socket = sockets.get_mut::<Socket<'_>>(*socket);
        for _ in 0..TURN_DATAGRAMS {
            let Ok((message, from)) = socket.recv() else {
                return;
            };
            if from.endpoint == IpEndpoint::new((*server).into(), sntp::PORT)
                && let Some(clock) = sntp.answer(message, now_ms)
            {
                self.clock = Some(clock);
            }
        }
    }

    /// Asks the link for the name, or tells it of addresses that are new, if that is due.
    fn speak_of_name(
        &mut self,
        addresses: &Addresses,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) -> bool {
        if self.name.is_none() {
            return false;
        }
        if self.stage == Stage::New {
            // Not all who start at the same moment ask at the same moment.
            self.stage = Stage::Probing(PROBES, now_ms + self.roll() % PROBE_MS);
        }
        let Some((name, socket)) = &self.name else {
            return false;
        };
        if let Stage::Probing(0, at_ms) = self.stage
            && now_ms >= at_ms
        {
            self.told.clear();
            self.stage = Stage::Known;
        }
        if self.told != *addresses && matches!(self.stage, Stage::Known | Stage::Announcing(..)) {
            self.told = addresses.clone();
            self.stage = Stage::Announcing(ANNOUNCEMENTS, now_ms);
        }
        let mut message = Vec::new();
        match self.stage {
            Stage::Probing(left @ 1.., at_ms) if now_ms >= at_ms => {
                mdns::probe(name, addresses, &mut message);
                self.stage = Stage::Probing(left - 1, now_ms + PROBE_MS);
            }
            Stage::Announcing(left, at_ms) if now_ms >= at_ms => {
                mdns::announce(name, addresses, &mut message);
                self.stage = match left {
                    0 | 1 => Stage::Known,
                    left => Stage::Announcing(left - 1, now_ms + ANNOUNCEMENT_MS),
                };
            }
            _ => return false,
        }
        let socket = sockets.get_mut::<Socket<'_>>(*socket);
        for group in GROUPS {
            if addresses.iter().any(|own| own.is_ipv4() == group.is_ipv4()) {
                // It is said several times.
                let _ = socket.send_slice(&message, IpEndpoint::new(group.into(), mdns::PORT));
            }
        }
        true
    }

    /// Answers who asks for the name, and hears who has it. True if something is to be sent.
    fn hear_names(
        &mut self,
        interface: &Interface,
        addresses: &Addresses,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) -> bool {
        let mut answered = false;
        for _ in 0..TURN_DATAGRAMS {
            let Some((name, socket)) = &self.name else {
                break;
            };
            let socket = sockets.get_mut::<Socket<'_>>(*socket);
            let Ok((message, from)) = socket.recv() else {
                break;
            };
            if !is_of_link(interface, &from) {
                continue;
            }
            let asker = from.endpoint;
            let is_ours = matches!(self.stage, Stage::Announcing(..) | Stage::Known);
            match mdns::claim(message, asker.port, name, addresses) {
                None => {}
                // Who has it says so (RFC 6762, 8.1).
                Some(Claim::Wanted(_)) if is_ours => {}
                Some(claim) => {
                    self.yield_name(claim, now_ms);
                    continue;
                }
            }
            let mut answer = Vec::new();
            let to = match mdns::answer(message, asker.port, name, addresses, &mut answer) {
                _ if !is_ours => continue,
                None => continue,
                Some(Audience::Asker) => asker,
                Some(Audience::Link) => {
                    let [v4, v6] = GROUPS;
                    let group = match IpAddr::from(asker.addr) {
                        IpAddr::V4(_) => v4,
                        IpAddr::V6(_) => v6,
                    };
                    IpEndpoint::new(group.into(), mdns::PORT)
                }
            };
            // Who asked asks again.
            let _ = socket.send_slice(&answer, UdpMetadata::from(to));
            answered = true;
        }
        answered
    }

    /// Somebody else has the name, or wants it.
    fn yield_name(&mut self, claim: Claim, now_ms: u64) {
        let Some((name, _)) = &mut self.name else {
            return;
        };
        self.stage = match (claim, self.stage) {
            // RFC 6762, 9: it is asked for again, and whoever has it says so.
            (Claim::Theirs, Stage::Announcing(..) | Stage::Known) => Stage::Probing(PROBES, now_ms),
            (Claim::Theirs, _) => {
                *name = name.next();
                self.losses += 1;
                let wait_ms = if self.losses > MANY_LOSSES {
                    MANY_LOSSES_MS
                } else {
                    PROBE_MS
                };
                Stage::Probing(PROBES, now_ms + wait_ms)
            }
            (Claim::Wanted(Ordering::Less), Stage::Probing(..)) => {
                Stage::Probing(PROBES, now_ms + LOSER_MS)
            }
            (Claim::Wanted(_), stage) => stage,
        };
    }
}

fn addresses(interface: &Interface) -> Addresses {
    let addresses = interface.ip_addrs().iter();
    addresses
        .map(|cidr: &IpCidr| cidr.address().into())
        .collect()
}

/// Whether a datagram comes from the link: who is elsewhere has no say in its names, and no answer (RFC 6762, 11).
fn is_of_link(interface: &Interface, from: &UdpMetadata) -> bool {
    let is_to_group = from.local_address.is_some_and(|to| to.is_multicast());
    let mut own = interface.ip_addrs().iter();
    is_to_group || own.any(|own| own.contains_addr(&from.endpoint.addr))
}

fn add_udp(sockets: &mut SocketSet<'static>, port: u16) -> SocketHandle {
    let buffer = || {
        let metadata = alloc::vec![PacketMetadata::EMPTY; DATAGRAMS];
        PacketBuffer::new(metadata, alloc::vec![0; DATAGRAM_BYTES])
    };
    let mut socket = Socket::new(buffer(), buffer());
    // A port of 0 is the only one that is refused.
    let _ = socket.bind(port);
    sockets.add(socket)
}
