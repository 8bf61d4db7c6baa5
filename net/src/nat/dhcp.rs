//! The DHCP server inside (RFC 2131, RFC 2132): each card of the guest has its own address, for ever; other stations behind a card get
//! one of a few, as long as they use it.

use crate::Mac;
use core::net::Ipv4Addr;
use heapless::Vec as Few;

pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;
/// Options behind the fixed part and the magic number.
const COOKIE_AT: usize = 236;
const OPTIONS_AT: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The shortest message that old clients take (RFC 1542, 2.1).
const SHORTEST_BYTES: usize = 300;
/// The longest that everybody takes, less headers (RFC 2131, 2).
pub const LONGEST_BYTES: usize = 548;
const LEASE_S: u32 = 86_400;
/// Addresses for stations that are no cards of ours.
const SPARE: usize = 32;
/// The first of them, from the network's.
const FIRST_SPARE: u8 = 100;
/// Cards of the guest that there may be.
pub const MAX_CARDS: usize = 8;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const BROADCAST: u8 = 0x80;

mod kind {
    pub const DISCOVER: u8 = 1;
    pub const OFFER: u8 = 2;
    pub const REQUEST: u8 = 3;
    pub const DECLINE: u8 = 4;
    pub const ACK: u8 = 5;
    pub const NAK: u8 = 6;
    pub const RELEASE: u8 = 7;
    pub const INFORM: u8 = 8;
}

mod option {
    pub const NETMASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const NAME_SERVER: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const MTU: u8 = 26;
    pub const BROADCAST: u8 = 28;
    pub const TIME_SERVER: u8 = 42;
    pub const ADDRESS: u8 = 50;
    pub const LEASE: u8 = 51;
    pub const KIND: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const RENEWAL: u8 = 58;
    pub const REBINDING: u8 = 59;
    pub const PAD: u8 = 0;
    pub const END: u8 = 255;
}

/// What a client is told beside its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms<'a> {
    /// Server, router and name server in one.
    pub own: Ipv4Addr,
    pub mtu_bytes: u16,
    /// The guest's name.
    pub name: &'a str,
    /// The domain that the host was told of.
    pub domain: &'a [u8],
    pub time_server: Option<Ipv4Addr>,
}

/// An answer's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub bytes: usize,
    pub mac: Mac,
    pub address: Ipv4Addr,
}

struct Lease {
    mac: Mac,
    number: u8,
    until_ms: u64,
}

/// The server.
#[derive(Default)]
pub struct Server {
    cards: Few<(Mac, Ipv4Addr), MAX_CARDS>,
    spare: Few<Lease, SPARE>,
}

/// What is read of a message.
struct Message<'a> {
    kind: u8,
    client: Ipv4Addr,
    mac: Mac,
    wanted: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    fixed: &'a [u8; OPTIONS_AT],
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let fixed = bytes.first_chunk::<OPTIONS_AT>()?;
        let address =
            |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
        let mac = Mac(*fixed[28..].first_chunk()?);
        // On Ethernet, and not through a relay.
        let is_ours = fixed[..3] == [REQUEST, 1, 6]
            && fixed[COOKIE_AT..] == COOKIE
            && address(24).is_unspecified();
        if !is_ours || !mac.is_station() {
            return None;
        }
        let find = |wanted: u8| {
            let mut rest = &bytes[OPTIONS_AT..];
            loop {
                rest = match *rest {
                    [option::PAD, ref rest @ ..] => rest,
                    [option::END, ..] | [] | [_] => return None,
                    [found, length, ref rest @ ..] => {
                        let (value, rest) = rest.split_at_checked(length.into())?;
                        if found == wanted {
                            return Some(value);
                        }
                        rest
                    }
                }
            }
        };
        let address_of = |option| {
            find(option)?
                .first_chunk::<4>()
                .map(|it| Ipv4Addr::from(*it))
        };
        Some(Self {
            kind: *find(option::KIND)?.first()?,
            client: address(12),
            mac,
            wanted: address_of(option::ADDRESS),
            server: address_of(option::SERVER),
            fixed,
        })
    }
}

/// Where options are written.
struct Writer<'a> {
    into: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    /// Adds an option, if it fits with the end behind it.
    fn put(&mut self, option: u8, value: &[u8]) {
        let Ok(length) = u8::try_from(value.len()) else {
            return;
        };
        let end = self.at + 2 + value.len();
        if end < self.into.len() {
            self.into[self.at] = option;
            self.into[self.at + 1] = length;
            self.into[self.at + 2..end].copy_from_slice(value);
            self.at = end;
        }
    }
}

impl Server {
    /// A card of ours has this address.
    pub fn add(&mut self, mac: Mac, address: Ipv4Addr) {
        // There are no more cards than that.
        let _ = self.cards.push((mac, address));
    }

    /// The answer to a message, if there is one, written to `into`.
    pub fn answer(
        &mut self,
        message: &[u8],
        terms: &Terms<'_>,
        now_ms: u64,
        into: &mut [u8; LONGEST_BYTES],
    ) -> Option<Reply> {
        let message = Message::read(message)?;
        let is_other_server = message.server.is_some_and(|server| server != terms.own);
        match message.kind {
            kind::DISCOVER => {
                let address = self.address(message.mac, terms, now_ms)?;
                Some(reply(&message, kind::OFFER, address, terms, into))
            }
            kind::REQUEST if is_other_server => None,
            kind::REQUEST => {
                let asked = message.wanted.unwrap_or(message.client);
                match self.address(message.mac, terms, now_ms) {
                    Some(address) if address == asked => {
                        Some(reply(&message, kind::ACK, address, terms, into))
                    }
                    _ => Some(reply(
                        &message,
                        kind::NAK,
                        Ipv4Addr::UNSPECIFIED,
                        terms,
                        into,
                    )),
                }
            }
            kind::INFORM if !message.client.is_unspecified() => Some(reply(
                &message,
                kind::ACK,
                Ipv4Addr::UNSPECIFIED,
                terms,
                into,
            )),
            kind::RELEASE | kind::DECLINE => {
                self.spare.retain(|lease| lease.mac != message.mac);
                None
            }
            _ => None,
        }
    }

    /// The address of a station.
    fn address(&mut self, mac: Mac, terms: &Terms<'_>, now_ms: u64) -> Option<Ipv4Addr> {
        if let Some((_, address)) = self.cards.iter().find(|(card, _)| *card == mac) {
            return Some(*address);
        }
        let until_ms = now_ms + u64::from(LEASE_S) * 1000;
        let number = match self.spare.iter_mut().find(|lease| lease.mac == mac) {
            Some(lease) => {
                lease.until_ms = until_ms;
                lease.number
            }
            None => {
                self.spare.retain(|lease| lease.until_ms > now_ms);
                let numbers = FIRST_SPARE..FIRST_SPARE + SPARE as u8;
                let mut free = numbers.filter(|number| {
                    let address = in_network(terms.own, *number);
                    let is_given = self.spare.iter().any(|lease| lease.number == *number);
                    !is_given
                        && address != terms.own
                        && self.cards.iter().all(|(_, card)| *card != address)
                });
                let number = free.next()?;
                self.spare
                    .push(Lease {
                        mac,
                        number,
                        until_ms,
                    })
                    .ok()?;
                number
            }
        };
        Some(in_network(terms.own, number))
    }
}

/// The address with this number in the network of `own`, which has 24 bits.
pub fn in_network(own: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = own.octets();
    Ipv4Addr::new(a, b, c, number)
}

fn reply(
    message: &Message<'_>,
    kind: u8,
    address: Ipv4Addr,
    terms: &Terms<'_>,
    into: &mut [u8; LONGEST_BYTES],
) -> Reply {
    into.fill(0);
    into[..OPTIONS_AT].copy_from_slice(message.fixed);
    into[0] = REPLY;
    // Hops and seconds; the addresses of next server and relay; names.
    into[3] = 0;
    into[8..10].fill(0);
    into[16..20].copy_from_slice(&address.octets());
    into[20..28].fill(0);
    into[44..COOKIE_AT].fill(0);
    if kind == kind::NAK {
        into[12..16].fill(0);
    }
    let mut writer = Writer {
        into,
        at: OPTIONS_AT,
    };
    writer.put(option::KIND, &[kind]);
    writer.put(option::SERVER, &terms.own.octets());
    if kind != kind::NAK {
        if message.kind != kind::INFORM {
            writer.put(option::LEASE, &LEASE_S.to_be_bytes());
            writer.put(option::RENEWAL, &(LEASE_S / 2).to_be_bytes());
            writer.put(option::REBINDING, &(LEASE_S / 8 * 7).to_be_bytes());
        }
        terms.put(&mut writer);
    }
    let at = writer.at;
    into[at] = option::END;
    let is_broadcast = message.fixed[10] & BROADCAST != 0 || kind == kind::NAK;
    let (mac, to) = match (
        message.client.is_unspecified() || kind == kind::NAK,
        is_broadcast,
    ) {
        (false, _) => (message.mac, message.client),
        (true, false) => (message.mac, address),
        (true, true) => (Mac([0xff; 6]), Ipv4Addr::BROADCAST),
    };
    Reply {
        bytes: (at + 1).max(SHORTEST_BYTES),
        mac,
        address: to,
    }
}

impl Terms<'_> {
    fn put(&self, writer: &mut Writer<'_>) {
        let own = self.own.octets();
        writer.put(option::NETMASK, &[255, 255, 255, 0]);
        writer.put(option::BROADCAST, &in_network(self.own, 255).octets());
        writer.put(option::ROUTER, &own);
        writer.put(option::NAME_SERVER, &own);
        writer.put(option::MTU, &self.mtu_bytes.to_be_bytes());
        if let Some(server) = self.time_server {
            writer.put(option::TIME_SERVER, &server.octets());
        }
        for (option, text) in [
            (option::HOST_NAME, self.name.as_bytes()),
            (option::DOMAIN, self.domain),
        ] {
            if !text.is_empty() {
                writer.put(option, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 86, 1);
    const CARD: Mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);
    const CARDS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 86, 2);

    fn terms() -> Terms<'static> {
        Terms {
            own: OWN,
            mtu_bytes: 1500,
            name: "florizel",
            domain: b"example.net",
            time_server: Some(Ipv4Addr::new(192, 0, 2, 9)),
        }
    }

    fn server() -> Server {
        let mut server = Server::default();
        server.add(CARD, CARDS_ADDRESS);
        server
    }

    fn message(kind: u8, mac: Mac, client: Ipv4Addr, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = Vec::from([0; OPTIONS_AT]);
        message[..8].copy_from_slice(&[1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
        message[12..16].copy_from_slice(&client.octets());
        message[28..34].copy_from_slice(&mac.0);
        message[COOKIE_AT..].copy_from_slice(&COOKIE);
        message.extend([0, option::KIND, 1, kind]);
        for (option, value) in options {
            message.extend([*option, value.len() as u8]);
            message.extend(*value);
        }
        message.push(option::END);
        message
    }

    /// What came back: its kind, the address in it, its options, and where it goes.
    fn ask(
        server: &mut Server,
        message: &[u8],
        now_ms: u64,
    ) -> Option<(u8, Ipv4Addr, Vec<u8>, Reply)> {
        let mut into = [0xee; LONGEST_BYTES];
        let reply = server.answer(message, &terms(), now_ms, &mut into)?;
        assert_eq!((into[0], &into[4..8]), (2, &[0xde, 0xad, 0xbe, 0xef][..]));
        assert_eq!(into[OPTIONS_AT..OPTIONS_AT + 2], [option::KIND, 1]);
        let address = Ipv4Addr::new(into[16], into[17], into[18], into[19]);
        Some((
            into[242],
            address,
            into[OPTIONS_AT..reply.bytes].to_vec(),
            reply,
        ))
    }

    #[test]
    fn a_card_gets_its_address() {
        let mut server = server();
        let discover = message(kind::DISCOVER, CARD, Ipv4Addr::UNSPECIFIED, &[]);
        let (kind, address, options, reply) = ask(&mut server, &discover, 0).unwrap();
        assert_eq!((kind, address), (kind::OFFER, CARDS_ADDRESS));
        assert_eq!((reply.mac, reply.address), (CARD, CARDS_ADDRESS));
        let has = |option: &[u8]| options.windows(option.len()).any(|it| it == option);
        assert!(
            has(&[3, 4, 10, 77, 86, 1])
                && has(&[6, 4, 10, 77, 86, 1])
                && has(&[1, 4, 255, 255, 255, 0])
        );
        assert!(has(&[26, 2, 5, 220]) && has(b"\x0c\x08florizel") && has(b"\x0f\x0bexample.net"));
        assert!(has(&[51, 4, 0, 1, 0x51, 0x80]) && has(&[42, 4, 192, 0, 2, 9]));
        let own = OWN.octets();
        let wanted = CARDS_ADDRESS.octets();
        let request = message(
            kind::REQUEST,
            CARD,
            Ipv4Addr::UNSPECIFIED,
            &[(option::SERVER, &own), (option::ADDRESS, &wanted)],
        );
        assert_eq!(ask(&mut server, &request, 0).unwrap().0, kind::ACK);
    }

    #[test]
    fn a_renewal_is_granted_and_another_address_refused() {
        let mut server = server();
        let renewal = message(kind::REQUEST, CARD, CARDS_ADDRESS, &[]);
        let (kind, .., reply) = ask(&mut server, &renewal, 0).unwrap();
        assert_eq!((kind, reply.address), (kind::ACK, CARDS_ADDRESS));
        // Rebooted elsewhere.
        let request = message(
            kind::REQUEST,
            CARD,
            Ipv4Addr::UNSPECIFIED,
            &[(option::ADDRESS, &[192, 168, 1, 7])],
        );
        let (kind, address, _, reply) = ask(&mut server, &request, 0).unwrap();
        assert_eq!((kind, address), (kind::NAK, Ipv4Addr::UNSPECIFIED));
        assert_eq!(
            (reply.mac, reply.address),
            (Mac([0xff; 6]), Ipv4Addr::BROADCAST)
        );
        let elsewhere = message(
            kind::REQUEST,
            CARD,
            Ipv4Addr::UNSPECIFIED,
            &[(option::SERVER, &[10, 0, 0, 9])],
        );
        assert!(ask(&mut server, &elsewhere, 0).is_none());
    }

    #[test]
    fn who_asks_for_a_broadcast_gets_one() {
        let mut discover = message(kind::DISCOVER, CARD, Ipv4Addr::UNSPECIFIED, &[]);
        discover[10] = BROADCAST;
        let (.., reply) = ask(&mut server(), &discover, 0).unwrap();
        assert_eq!(
            (reply.mac, reply.address),
            (Mac([0xff; 6]), Ipv4Addr::BROADCAST)
        );
    }

    #[test]
    fn an_inform_is_told_the_rest() {
        let inform = message(kind::INFORM, CARD, Ipv4Addr::new(10, 77, 86, 50), &[]);
        let (kind, address, options, reply) = ask(&mut server(), &inform, 0).unwrap();
        assert_eq!((kind, address), (kind::ACK, Ipv4Addr::UNSPECIFIED));
        assert!(!options.windows(2).any(|it| it == [option::LEASE, 4]));
        assert_eq!(reply.address, Ipv4Addr::new(10, 77, 86, 50));
    }

    #[test]
    fn strangers_get_one_of_a_few_and_give_it_back() {
        let mut server = server();
        let mac = |number: usize| Mac([2, 0, 0, 0, 0, number as u8]);
        let discover = |server: &mut Server, number, now_ms| {
            let discover = message(kind::DISCOVER, mac(number), Ipv4Addr::UNSPECIFIED, &[]);
            ask(server, &discover, now_ms).map(|(_, address, ..)| address)
        };
        let first = discover(&mut server, 0, 0).unwrap();
        assert_eq!(discover(&mut server, 0, 1), Some(first));
        for number in 1..SPARE {
            assert!(discover(&mut server, number, 1).is_some_and(|address| address != first));
        }
        assert_eq!(discover(&mut server, 40, 1), None);
        assert!(ask(&mut server, &message(kind::RELEASE, mac(0), first, &[]), 1).is_none());
        assert_eq!(discover(&mut server, 40, 1), Some(first));
        assert_eq!(discover(&mut server, 41, 1), None);
        assert!(discover(&mut server, 41, 86_400_002).is_some());
    }

    proptest! {
        #[test]
        fn any_message_is_answered(mut bytes in prop::collection::vec(any::<u8>(), 240..400), options in prop::collection::vec(0_u8..64, 0..80)) {
            bytes[..3].copy_from_slice(&[1, 1, 6]);
            bytes[24..28].fill(0);
            bytes[28] &= !1;
            bytes[COOKIE_AT..OPTIONS_AT].copy_from_slice(&COOKIE);
            bytes.truncate(OPTIONS_AT);
            bytes.extend(options);
            let mut into = [0; LONGEST_BYTES];
            let mut server = server();
            if let Some(reply) = server.answer(&bytes, &terms(), 0, &mut into) {
                prop_assert!(reply.bytes <= LONGEST_BYTES);
            }
        }
    }
}
