//! The router between a guest and a network that are made here.

mod conversations;
mod frames;
mod services;

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
