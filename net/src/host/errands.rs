//! What the host does on the network by itself: it answers to its name, asks for the time, and sends its log.

use super::mdns::{self, Audience, Name};
use super::sntp::{self, Sntp, WallClock};
use super::syslog::{self, Severity};
use alloc::string::String;
use alloc::vec::Vec;
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

/// The errands. Nothing is done of which nobody has spoken.
pub struct Errands {
    name: Option<(Name, SocketHandle)>,
    told: Addresses,
    /// Announcements that are left, and when the next is due.
    announcing: Option<(u8, u64)>,
    time: Option<(IpAddr, SocketHandle, Sntp)>,
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
            announcing: None,
            time: None,
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
        let announced = self.announce(&addresses, sockets, now_ms);
        let answered = self.answer(&addresses, sockets);
        asked || announced || answered
    }

    /// In how many milliseconds something is due.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let announcement = self
            .announcing
            .map(|(_, at_ms)| at_ms.saturating_sub(now_ms));
        let question = self.time.as_ref().map(|(.., sntp)| sntp.next_ms(now_ms));
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
        if !addresses
            .iter()
            .any(|own| own.is_ipv4() == server.is_ipv4())
        {
            return false;
        }
        let Some(question) = sntp.ask(mark, now_ms) else {
            return false;
        };
        let endpoint = IpEndpoint::new((*server).into(), sntp::PORT);
        // It is asked again.
        let _ = sockets
            .get_mut::<Socket<'_>>(*socket)
            .send_slice(&question, endpoint);
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

    /// Tells the link of addresses that are new.
    fn announce(
        &mut self,
        addresses: &Addresses,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) -> bool {
        let Some((name, socket)) = &self.name else {
            return false;
        };
        if self.told != *addresses {
            self.told = addresses.clone();
            self.announcing = Some((ANNOUNCEMENTS, now_ms));
        }
        let Some((left, at_ms)) = self.announcing else {
            return false;
        };
        if now_ms < at_ms {
            return false;
        }
        self.announcing = (left > 1).then_some((left - 1, now_ms + ANNOUNCEMENT_MS));
        let mut message = Vec::new();
        mdns::announce(name, addresses, &mut message);
        let socket = sockets.get_mut::<Socket<'_>>(*socket);
        for group in GROUPS {
            if addresses.iter().any(|own| own.is_ipv4() == group.is_ipv4()) {
                // It is said twice.
                let _ = socket.send_slice(&message, IpEndpoint::new(group.into(), mdns::PORT));
            }
        }
        true
    }

    fn answer(&mut self, addresses: &Addresses, sockets: &mut SocketSet<'static>) -> bool {
        let Some((name, socket)) = &self.name else {
            return false;
        };
        let socket = sockets.get_mut::<Socket<'_>>(*socket);
        let mut answered = false;
        for _ in 0..TURN_DATAGRAMS {
            let Ok((query, from)) = socket.recv() else {
                break;
            };
            let mut message = Vec::new();
            let asker = from.endpoint;
            let to = match mdns::answer(query, asker.port, name, addresses, &mut message) {
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
            let _ = socket.send_slice(&message, UdpMetadata::from(to));
            answered = true;
        }
        answered
    }
}

fn addresses(interface: &Interface) -> Addresses {
    let addresses = interface.ip_addrs().iter();
    addresses
        .map(|cidr: &IpCidr| cidr.address().into())
        .collect()
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
