//! The router between a guest and a network that are made here.

use super::arp::Arp;
use super::wire::*;
use super::*;
use hvm::checksum;
use hvm::packet::{Checksum, PartialChecksum};
use hvm::packet::{Cut, Offload, Segmentation};
use proptest::prelude::*;
use std::vec::Vec;

const HOST: Mac = Mac([2, 0, 0, 0, 0, 1]);
const FAR: Mac = Mac([2, 0, 0, 0, 0, 9]);
const CARD: Mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);
const GUEST: Ipv4Addr = DEFAULT_GUEST;
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(192, 0, 2, 54)];
const TCP_BYTES: usize = 20;

/// What is the host's.
#[derive(Default)]
struct Host(Vec<Packet>);

impl Outlet for Host {
    fn send(&mut self, packet: Packet) -> Result<(), Refusal> {
        self.0.push(packet);
        Ok(())
    }
}

struct Lab {
    router: Router,
    pool: &'static Pool,
    host: Host,
    now_ms: u64,
}

fn at(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}

fn outside() -> Outside {
    Outside {
        lease: Lease {
            address: OWN,
            prefix_bits: 24,
            gateway: Some(GATEWAY),
        },
        told: Surroundings {
            name_servers: SERVERS.into_iter().collect(),
            ..Surroundings::default()
        },
    }
}

/// A packet of UDP, or of TCP with these flags.
fn packet(from: SocketAddrV4, to: SocketAddrV4, tcp_flags: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut transport = Vec::from([0; UDP_BYTES]);
    let (protocol, sum_at) = match tcp_flags {
        Some(flags) => {
            transport.resize(TCP_BYTES, 0);
            transport[12] = 5 << 4;
            transport[FLAGS_AT] = flags;
            (wire::TCP, 16)
        }
        None => (UDP, 6),
    };
    transport[..2].copy_from_slice(&from.port().to_be_bytes());
    transport[2..4].copy_from_slice(&to.port().to_be_bytes());
    transport.extend(payload);
    let bytes = transport.len();
    if protocol == UDP {
        transport[4..6].copy_from_slice(&(bytes as u16).to_be_bytes());
    }
    let addresses = [from.ip().octets(), to.ip().octets()];
    let pseudo = checksum::pseudo_header(addresses.as_flattened(), protocol, bytes);
    let sum = !checksum::sum(pseudo, &transport);
    transport[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    ip(protocol, *from.ip(), *to.ip(), &transport)
}

fn ip(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::from([0; IPV4_BYTES]);
    packet.extend(payload);
    put_ipv4(&mut packet, protocol, from, to, payload.len());
    packet
}

fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::from([kind, code, 0, 0]);
    message.extend(rest);
    message.extend(payload);
    let sum = checksum::of(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn frame(to: Mac, from: Mac, packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from([0; ETHERNET_BYTES]);
    put_ethernet(&mut frame, to, from, TYPE_IPV4);
    frame.extend(packet);
    frame
}

/// Ends and payload of a packet whose checksums are right.
fn read(packet: &[u8]) -> (Ends, Vec<u8>) {
    let header = Header::read(packet).expect("it is a packet");
    let transport = &packet[header.bytes..header.total_bytes];
    let start = match header.protocol {
        ICMP => {
            assert_eq!(checksum::of(transport), 0, "ICMP's checksum");
            8
        }
        protocol => {
            let addresses = [header.source.octets(), header.destination.octets()];
            let pseudo =
                checksum::pseudo_header(addresses.as_flattened(), protocol, transport.len());
            assert_eq!(checksum::sum(pseudo, transport), 0xffff, "the checksum");
            if protocol == UDP {
                UDP_BYTES
            } else {
                TCP_BYTES
            }
        }
    };
    let ends = Ends::of(packet, &header).expect("it has ends");
    (ends, transport[start..].to_vec())
}

impl Lab {
    fn new(forwards: &[&str]) -> Self {
        let pool = Pool::ordinary(64, 4096);
        let forwards = forwards.iter().map(|text| (text.parse().unwrap(), GUEST));
        let setup = Setup {
            cards: Vec::from([(CARD, GUEST)]),
            forwards: forwards.collect(),
            reserved: Vec::from([(Protocol::Tcp, 5900)]),
            name: "florizel".into(),
            mtu_bytes: MTU_BYTES,
        };
        let mut router = Router::new(setup, HOST, pool, 7);
        router.set_outside(Some(outside()));
        let mut lab = Self {
            router,
            pool,
            host: Host::default(),
            now_ms: 0,
        };
        lab.out(&packet(at(GUEST, 9), at(REMOTE, 9), None, b""));
        // The gateway is asked for, and answers; name servers too.
        for address in [GATEWAY, SERVERS[0], SERVERS[1]] {
            lab.answer_arp(address);
        }
        lab.router.take(Face::Outside);
        lab
    }

    fn answer_arp(&mut self, address: Ipv4Addr) {
        let waiting = self.router.far.meet(address, FAR, self.now_ms);
        assert_eq!(waiting.count(), usize::from(address == GATEWAY));
    }

    fn work(&mut self) {
        self.router.work(&mut self.host, self.now_ms);
    }

    fn give(&mut self, face: Face, packet: Packet) {
        let (outside, inside) = self.router.ends();
        let inlet = if face == Face::Inside {
            inside
        } else {
            outside
        };
        inlet.send(packet).expect("there is room");
        self.work();
    }

    /// The guest sends.
    fn out(&mut self, packet: &[u8]) {
        let frame = frame(self.router.mac(), CARD, packet);
        self.give(Face::Inside, self.pool.copy_of(&frame).unwrap());
    }

    /// Somebody outside sends.
    fn r#in(&mut self, packet: &[u8]) {
        self.give(
            Face::Outside,
            self.pool.copy_of(&frame(HOST, FAR, packet)).unwrap(),
        );
    }

    fn taken(&mut self, face: Face, to: Mac, from: Mac) -> Option<Vec<u8>> {
        let mut packet = self.router.take(face)?;
        assert!(packet.finish_checksum());
        let header = ethernet(packet.frame()).unwrap();
        assert_eq!(header, (to, from, TYPE_IPV4));
        Some(packet.frame()[ETHERNET_BYTES..].to_vec())
    }

    /// What went out.
    fn outside(&mut self) -> Option<Vec<u8>> {
        self.taken(Face::Outside, FAR, HOST)
    }

    /// What the guest got.
    fn inside(&mut self) -> Option<Vec<u8>> {
        let own = self.router.mac();
        self.taken(Face::Inside, CARD, own)
    }

    /// A datagram out; where it came from.
    fn port_of(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> u16 {
        self.out(&packet(from, to, None, b"out"));
        let (ends, payload) = read(&self.outside().expect("it goes out"));
        assert_eq!(
            (*ends.source.ip(), ends.destination, &payload[..]),
            (OWN, to, &b"out"[..])
        );
        ends.source.port()
    }
}

#[test]
fn datagrams_go_out_as_the_hosts_and_answers_come_back() {
    let mut lab = Lab::new(&[]);
    let port = lab.port_of(at(GUEST, 4000), at(REMOTE, 7));
    assert_eq!(port, 4000, "the guest's own port is free");
    lab.r#in(&packet(at(REMOTE, 7), at(OWN, port), None, b"in"));
    let (ends, payload) = read(&lab.inside().unwrap());
    assert_eq!(
        (ends.source, ends.destination, &payload[..]),
        (at(REMOTE, 7), at(GUEST, 4000), &b"in"[..])
    );
    assert!(lab.host.0.is_empty());
    assert_eq!(lab.pool.available(), 64);
}

#[test]
fn a_mapping_is_the_same_whoever_is_talked_with_and_others_do_not_come_in() {
    let mut lab = Lab::new(&[]);
    let other = Ipv4Addr::new(203, 0, 113, 1);
    let port = lab.port_of(at(GUEST, 4000), at(REMOTE, 7));
    assert_eq!(lab.port_of(at(GUEST, 4000), at(other, 7)), port);
    // Another port of a station that is talked with may come, another station not.
    lab.r#in(&packet(at(REMOTE, 8), at(OWN, port), None, b"in"));
    assert_eq!(read(&lab.inside().unwrap()).0.source, at(REMOTE, 8));
    lab.r#in(&packet(
        at(Ipv4Addr::new(203, 0, 113, 2), 7),
        at(OWN, port),
        None,
        b"in",
    ));
    assert!(lab.inside().is_none());
    assert_eq!(lab.host.0.len(), 1, "it is the host's");
}

#[test]
fn two_ends_with_the_same_port_get_two() {
    let mut lab = Lab::new(&[]);
    let neighbour = Ipv4Addr::new(10, 77, 86, 3);
    let first = lab.port_of(at(GUEST, 4001), at(REMOTE, 7));
    let second = lab.port_of(at(neighbour, 4001), at(REMOTE, 7));
    assert_ne!(first, second);
    assert_eq!(second % 2, 1, "parity is kept");
    lab.r#in(&packet(at(REMOTE, 7), at(OWN, second), None, b"in"));
    // It was heard of with this card's address.
    assert_eq!(
        read(&lab.inside().unwrap()).0.destination,
        at(neighbour, 4001)
    );
}

#[test]
fn the_hosts_ports_are_not_given_out() {
    let mut lab = Lab::new(&[]);
    lab.out(&packet(at(GUEST, 5900), at(REMOTE, 80), Some(2), b""));
    assert_ne!(read(&lab.outside().unwrap()).0.source.port(), 5900);
    lab.r#in(&packet(at(REMOTE, 80), at(OWN, 5900), Some(2), b""));
    assert_eq!((lab.host.0.len(), lab.inside()), (1, None));
}

#[test]
fn forwards_take_connections_of_anybody() {
    let mut lab = Lab::new(&["tcp:8080:80"]);
    lab.r#in(&packet(at(REMOTE, 40_000), at(OWN, 8080), Some(2), b""));
    // The guest has been heard of, so nobody asks for it.
    let (ends, _) = read(&lab.inside().unwrap());
    assert_eq!(
        (ends.source, ends.destination),
        (at(REMOTE, 40_000), at(GUEST, 80))
    );
    lab.out(&packet(at(GUEST, 80), at(REMOTE, 40_000), Some(0x12), b""));
    let (ends, _) = read(&lab.outside().unwrap());
    assert_eq!(
        (ends.source, ends.destination),
        (at(OWN, 8080), at(REMOTE, 40_000))
    );
    // A segment of a connection that there is not, is the host's to refuse.
    lab.r#in(&packet(at(REMOTE, 40_001), at(OWN, 8080), Some(0x10), b""));
    assert_eq!(lab.host.0.len(), 1);
}

#[test]
fn the_guest_reaches_its_forwards_by_the_hosts_address_and_nothing_else_of_it() {
    let mut lab = Lab::new(&["tcp:8080:80"]);
    lab.out(&packet(at(GUEST, 4000), at(OWN, 8080), Some(2), b""));
    let (ends, _) = read(&lab.inside().unwrap());
    assert_eq!(
        (ends.source, ends.destination),
        (at(OWN, 4000), at(GUEST, 80))
    );
    lab.out(&packet(at(GUEST, 80), at(OWN, 4000), Some(0x12), b""));
    let (ends, _) = read(&lab.inside().unwrap());
    assert_eq!(
        (ends.source, ends.destination),
        (at(OWN, 8080), at(GUEST, 4000))
    );
    lab.out(&packet(at(GUEST, 4000), at(OWN, 5900), Some(2), b""));
    let told = lab.inside().unwrap();
    assert_eq!(told[20..22], [3, 3]);
    assert!(lab.host.0.is_empty() && lab.outside().is_none());
}

#[test]
fn names_are_asked_of_the_next_server_when_one_keeps_silent() {
    let mut lab = Lab::new(&[]);
    let gateway = lab.router.address();
    let mut asked = Vec::new();
    for _ in 0..4 {
        lab.out(&packet(at(GUEST, 4000), at(gateway, 53), None, b"who"));
        asked.push(*read(&lab.outside().unwrap()).0.destination.ip());
    }
    assert_eq!(asked, [SERVERS[0], SERVERS[0], SERVERS[1], SERVERS[1]]);
    lab.r#in(&packet(at(SERVERS[1], 53), at(OWN, 4000), None, b"he"));
    let (ends, payload) = read(&lab.inside().unwrap());
    assert_eq!(
        (ends.source, ends.destination, &payload[..]),
        (at(gateway, 53), at(GUEST, 4000), &b"he"[..])
    );
    // By TCP as well.
    lab.out(&packet(at(GUEST, 4000), at(gateway, 53), Some(2), b""));
    assert_eq!(
        read(&lab.outside().unwrap()).0.destination,
        at(SERVERS[1], 53)
    );
    lab.router.set_outside(None);
    lab.out(&packet(at(GUEST, 4000), at(gateway, 53), None, b"who"));
    assert_eq!(
        lab.inside().unwrap()[20..22],
        [3, 3],
        "nobody listens there"
    );
}

#[test]
fn pings_pass_and_the_router_answers_its_own() {
    let mut lab = Lab::new(&[]);
    let echo = icmp(8, 0, [0x12, 0x34, 0, 1], b"florizel");
    lab.out(&ip(ICMP, GUEST, REMOTE, &echo));
    let (ends, payload) = read(&lab.outside().unwrap());
    assert_eq!(
        (ends.source, &payload[..]),
        (at(OWN, 0x1234), &b"florizel"[..])
    );
    let reply = icmp(0, 0, [0x12, 0x34, 0, 1], b"florizel");
    lab.r#in(&ip(ICMP, REMOTE, OWN, &reply));
    assert_eq!(
        read(&lab.inside().unwrap()).0.destination,
        at(GUEST, 0x1234)
    );
    // Others' pings are the host's.
    lab.r#in(&ip(ICMP, REMOTE, OWN, &echo));
    assert_eq!(lab.host.0.len(), 1);
    let gateway = lab.router.address();
    lab.out(&ip(ICMP, GUEST, gateway, &echo));
    let (ends, _) = read(&lab.inside().unwrap());
    assert_eq!(
        (*ends.source.ip(), ends.destination),
        (gateway, at(GUEST, 0x1234))
    );
}

#[test]
fn errors_quote_what_their_reader_knows() {
    let mut lab = Lab::new(&[]);
    let neighbour = Ipv4Addr::new(10, 77, 86, 3);
    lab.port_of(at(neighbour, 4000), at(REMOTE, 7));
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 7), None, b"long"));
    let sent = lab.outside().unwrap();
    assert_ne!(read(&sent).0.source.port(), 4000);
    // Somewhere on the way it is too long (RFC 1191).
    let router = Ipv4Addr::new(192, 0, 2, 99);
    lab.r#in(&ip(
        ICMP,
        router,
        OWN,
        &icmp(3, 4, [0, 0, 5, 0x78], &sent[..28]),
    ));
    let told = lab.inside().unwrap();
    let header = Header::read(&told).unwrap();
    assert_eq!((header.source, header.destination), (router, GUEST));
    let (inner, ends) = icmp::quoted(&told, &header).unwrap();
    assert_eq!(
        (ends.source, ends.destination),
        (at(GUEST, 4000), at(REMOTE, 7))
    );
    assert_eq!(told[26..28], [5, 0x78]);
    assert_eq!(checksum::of(&told[28..28 + inner.bytes]), 0);
    // The other way: nobody listens in the guest.
    let came = packet(at(REMOTE, 7), read(&sent).0.source, None, b"in");
    lab.r#in(&came);
    let got = lab.inside().unwrap();
    lab.out(&ip(ICMP, GUEST, REMOTE, &icmp(3, 3, [0; 4], &got)));
    let told = lab.outside().unwrap();
    let header = Header::read(&told).unwrap();
    assert_eq!((header.source, header.destination), (OWN, REMOTE));
    let (_, ends) = icmp::quoted(&told, &header).unwrap();
    assert_eq!(
        (ends.source, ends.destination),
        (at(REMOTE, 7), read(&sent).0.source)
    );
    // One about what nobody sent is the host's, and from the guest nobody's.
    lab.r#in(&ip(
        ICMP,
        router,
        OWN,
        &icmp(3, 3, [0; 4], &packet(at(OWN, 1), at(REMOTE, 1), None, b"")),
    ));
    assert_eq!((lab.host.0.len(), lab.inside()), (1, None));
    lab.out(&ip(
        ICMP,
        GUEST,
        REMOTE,
        &icmp(
            3,
            3,
            [0; 4],
            &packet(at(REMOTE, 1), at(GUEST, 1), None, b""),
        ),
    ));
    assert_eq!(lab.outside(), None);
}

#[test]
fn senders_are_told_what_cannot_pass() {
    let mut lab = Lab::new(&[]);
    let mut old = packet(at(GUEST, 1), at(REMOTE, 1), None, b"");
    old[8] = 1;
    old[10..12].fill(0);
    let sum = checksum::of(&old[..IPV4_BYTES]);
    old[10..12].copy_from_slice(&sum.to_be_bytes());
    lab.out(&old);
    let told = lab.inside().unwrap();
    assert_eq!((told[20], &told[28..56]), (11, &old[..28]));
    lab.out(&packet(at(GUEST, 1), at(REMOTE, 1), None, &[0; 2000]));
    let told = lab.inside().unwrap();
    assert_eq!(
        (&told[20..22], &told[26..28]),
        (&[3, 4][..], &1500_u16.to_be_bytes()[..])
    );
    assert!(lab.outside().is_none());
}

#[test]
fn fragments_follow_their_first_both_ways() {
    let mut lab = Lab::new(&[]);
    let whole = packet(at(GUEST, 4000), at(REMOTE, 7), None, &[7; 64]);
    let cut = |whole: &[u8], from: usize, to: usize, more: bool| {
        let header = Header::read(whole).unwrap();
        let mut piece = ip(
            header.protocol,
            header.source,
            header.destination,
            &whole[IPV4_BYTES + from..IPV4_BYTES + to],
        );
        let offset = (from / 8) as u16 | if more { 0x2000 } else { 0 };
        piece[4..6].copy_from_slice(&77_u16.to_be_bytes());
        piece[6..8].copy_from_slice(&offset.to_be_bytes());
        piece[10..12].fill(0);
        let sum = checksum::of(&piece[..IPV4_BYTES]);
        piece[10..12].copy_from_slice(&sum.to_be_bytes());
        piece
    };
    lab.out(&cut(&whole, 40, 72, false));
    assert!(lab.outside().is_none(), "one that comes first is lost");
    let join = |first: Vec<u8>, last: Vec<u8>| {
        let header = Header::read(&first).unwrap();
        let body = [&first[IPV4_BYTES..], &last[IPV4_BYTES..]].concat();
        read(&ip(
            header.protocol,
            header.source,
            header.destination,
            &body,
        ))
    };
    lab.out(&cut(&whole, 0, 40, true));
    lab.out(&cut(&whole, 40, 72, false));
    let (first, last) = (lab.outside().unwrap(), lab.outside().unwrap());
    let (ends, payload) = join(first, last);
    assert_eq!((ends.source, &payload[..]), (at(OWN, 4000), &[7; 64][..]));
    let answer = packet(at(REMOTE, 7), at(OWN, 4000), None, &[8; 64]);
    lab.r#in(&cut(&answer, 0, 40, true));
    lab.r#in(&cut(&answer, 40, 72, false));
    let (first, last) = (lab.inside().unwrap(), lab.inside().unwrap());
    let (ends, payload) = join(first, last);
    assert_eq!(
        (ends.destination, &payload[..]),
        (at(GUEST, 4000), &[8; 64][..])
    );
}

#[test]
fn long_frames_and_left_out_checksums_stay_so() {
    let mut lab = Lab::new(&[]);
    let mut bytes = frame(
        lab.router.mac(),
        CARD,
        &packet(at(GUEST, 4000), at(REMOTE, 80), Some(0x10), &[3; 3000]),
    );
    let addresses = [GUEST.octets(), REMOTE.octets()];
    let pseudo = checksum::pseudo_header(addresses.as_flattened(), wire::TCP, 3020);
    bytes[50..52].copy_from_slice(&pseudo.to_be_bytes());
    let mut long = lab.pool.copy_of(&bytes).unwrap();
    let offload = Offload {
        checksum: Checksum::Partial(PartialChecksum {
            start: 34,
            offset: 16,
        }),
        segmentation: Some(Segmentation {
            cut: Cut::Tcp4,
            segment_bytes: 1460,
            header_bytes: 54,
        }),
    };
    long.set_offload(offload);
    lab.give(Face::Inside, long);
    let packet = lab.router.take(Face::Outside).unwrap();
    assert_eq!(packet.offload(), offload);
    let mut whole = packet;
    assert!(whole.finish_checksum());
    assert_eq!(
        read(&whole.frame()[ETHERNET_BYTES..]).0.source,
        at(OWN, 4000)
    );
}

#[test]
fn nothing_of_the_guests_own_addresses_leaves() {
    let mut lab = Lab::new(&[]);
    for (from, to) in [
        (REMOTE, REMOTE),
        (lab.router.address(), REMOTE),
        (Ipv4Addr::new(10, 77, 86, 255), REMOTE),
        (GUEST, Ipv4Addr::new(224, 0, 0, 251)),
        (GUEST, Ipv4Addr::BROADCAST),
        (GUEST, Ipv4Addr::new(10, 77, 86, 9)),
        (GUEST, Ipv4Addr::LOCALHOST),
    ] {
        lab.out(&packet(at(from, 1), at(to, 1), None, b""));
        assert_eq!(
            (lab.outside(), lab.inside()),
            (None, None),
            "{from} to {to}"
        );
    }
    let mut v6 = frame(lab.router.mac(), CARD, &[0x60; 60]);
    v6[12..14].copy_from_slice(&[0x86, 0xdd]);
    let packet = lab.pool.copy_of(&v6).unwrap();
    lab.give(Face::Inside, packet);
    assert!(lab.router.take(Face::Outside).is_none());
}

#[test]
fn without_an_address_senders_are_told_and_a_new_one_ends_all() {
    let mut lab = Lab::new(&["tcp:8080:80"]);
    lab.port_of(at(GUEST, 4000), at(REMOTE, 7));
    let flows = lab.router.counters().1;
    assert_ne!(flows, 0);
    lab.router.set_outside(None);
    assert_eq!(lab.router.counters().1, flows, "they wait");
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 7), None, b""));
    assert_eq!(lab.inside().unwrap()[20..22], [3, 0]);
    lab.router.set_outside(Some(outside()));
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 7), None, b""));
    // The way there has to be found anew: somebody asks for it.
    let question = lab.router.take(Face::Outside).unwrap();
    let arp = Arp::read(question.frame()).unwrap();
    assert_eq!(
        (arp.is_request, arp.target, arp.sender),
        (true, GATEWAY, (HOST, OWN))
    );
    assert_eq!(lab.router.counters().1, flows, "the same address again");
    let mut other = outside();
    other.lease.address = GATEWAY;
    lab.router.set_outside(Some(other));
    assert_eq!(lab.router.counters().1, 0);
}

#[test]
fn who_asks_for_the_router_is_answered() {
    let mut lab = Lab::new(&[]);
    let mut question = lab.pool.packet().unwrap();
    let router = lab.router.address();
    Arp::write(&mut question, (CARD, GUEST), None, router);
    lab.give(Face::Inside, question);
    let answer = lab.router.take(Face::Inside).unwrap();
    let arp = Arp::read(answer.frame()).unwrap();
    assert_eq!(
        (arp.is_request, arp.sender),
        (false, (lab.router.mac(), router))
    );
    assert_eq!(answer.frame()[..6], CARD.0);
}

#[test]
fn conversations_end_when_nobody_speaks() {
    let mut lab = Lab::new(&["udp:5000:5000"]);
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 7), None, b""));
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 80), Some(2), b""));
    lab.r#in(&packet(at(REMOTE, 80), at(OWN, 4000), Some(0x12), b""));
    let count = |lab: &Lab| lab.router.counters().1;
    // One more is from the start.
    assert_eq!(count(&lab), 3);
    lab.now_ms = 299_999;
    lab.work();
    assert_eq!(count(&lab), 3);
    lab.now_ms = 300_000;
    lab.work();
    assert_eq!(count(&lab), 1);
    lab.r#in(&packet(at(REMOTE, 80), at(OWN, 4000), Some(0x11), b""));
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 80), Some(0x11), b""));
    lab.now_ms += 240_000;
    lab.work();
    assert_eq!(count(&lab), 0);
    assert!(
        lab.router.flows.has_port(Protocol::Udp, 5000),
        "forwards stay"
    );
    assert!(!lab.router.flows.has_port(Protocol::Tcp, 4000));
}

#[test]
fn a_flood_of_conversations_costs_the_least_missed_ones() {
    let mut lab = Lab::new(&[]);
    lab.out(&packet(at(GUEST, 4000), at(REMOTE, 80), Some(2), b""));
    lab.outside();
    lab.r#in(&packet(at(REMOTE, 80), at(OWN, 4000), Some(0x12), b""));
    lab.inside();
    for number in 0..10_000_u32 {
        let there = Ipv4Addr::from_bits(0xcb00_0000 + number);
        lab.out(&packet(
            at(GUEST, 5000 + (number % 3000) as u16),
            at(there, 80),
            Some(2),
            b"",
        ));
        assert!(lab.outside().is_some());
    }
    assert_eq!(lab.router.counters().1, flows::MAX_FLOWS);
    lab.r#in(&packet(
        at(REMOTE, 80),
        at(OWN, 4000),
        Some(0x10),
        b"still here",
    ));
    assert_eq!(read(&lab.inside().unwrap()).1, b"still here");
    assert_eq!(lab.pool.available(), 64);
}

proptest! {
    #[test]
    fn any_packets_of_either_side_are_taken(
        packets in prop::collection::vec((any::<bool>(), 0_u8..20, 0_u8..4, 0_u8..4, prop::collection::vec(any::<u8>(), 0..60)), 0..30),
    ) {
        let mut lab = Lab::new(&["tcp:80:80", "udp:53:53"]);
        let router = lab.router.address();
        let addresses = [GUEST, REMOTE, OWN, router];
        for (is_inside, protocol, from, to, payload) in packets {
            let protocol = match protocol { 17.. => UDP, other => other };
            let bytes = ip(protocol, addresses[usize::from(from)], addresses[usize::from(to)], &payload);
            lab.now_ms += 1000;
            match is_inside {
                true => lab.out(&bytes),
                false => lab.r#in(&bytes),
            }
            while let Some(packet) = lab.router.take(Face::Outside) {
                let (_, from, kind) = ethernet(packet.frame()).unwrap();
                prop_assert_eq!(from, HOST);
                if kind == TYPE_IPV4 {
                    let header = Header::read(&packet.frame()[ETHERNET_BYTES..]).unwrap();
                    prop_assert_eq!(header.source, OWN);
                }
            }
            while lab.router.take(Face::Inside).is_some() {}
            lab.host.0.clear();
        }
        // What waits for answers to questions of ARP is at most four for each station.
        prop_assert!(lab.pool.available() > 32);
    }

    #[test]
    fn any_frames_are_taken(frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20)) {
        let mut lab = Lab::new(&[]);
        for (is_inside, bytes) in frames {
            let face = if is_inside { Face::Inside } else { Face::Outside };
            let packet = lab.pool.copy_of(&bytes).unwrap();
            lab.give(face, packet);
            lab.host.0.clear();
        }
    }
}
