//! The host and its peers, frame by frame.

mod errands;
mod lease;
mod v6;

use super::slaac::Slaac;
use super::*;
use address::Address;
use std::vec::Vec;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// When a host that has a static address has told everybody.
const SETTLED_MS: u64 = 4_000;

/// A host at [`SETTLED_MS`], or one at the start, if its address is to be given.
fn host(setup: Setup) -> (Host, &'static Pool) {
    let pool = Pool::ordinary(8, 2048);
    let mut host = Host::new(MAC, setup, pool, 1, 0);
    if matches!(setup, Setup::Static(_)) {
        host.link_came_up(0);
        for now_ms in 0..SETTLED_MS {
            host.poll(now_ms);
            while host.take().is_some() {}
        }
        assert!(host.lease().is_some());
    }
    (host, pool)
}

fn fixed() -> Setup {
    Setup::Static(Address {
        address: Ipv4Addr::new(10, 0, 0, 1),
        prefix_bits: 24,
        gateway: None,
        name_servers: [None; 2],
    })
}

/// The next frame of this kind; others are passed over.
fn take(host: &mut Host, kind: u16) -> Option<Vec<u8>> {
    core::iter::from_fn(|| host.take())
        .map(|packet| packet.frame().to_vec())
        .find(|frame| frame[12..14] == kind.to_be_bytes())
}

fn give(host: &mut Host, pool: &'static Pool, frame: &[u8], now_ms: u64) {
    host.send(pool.copy_of(frame).unwrap()).unwrap();
    host.poll(now_ms);
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(MAC.0);
    frame.extend(PEER);
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Who has 10.0.0.1? Tell 10.0.0.2. (RFC 826.)
fn arp() -> Vec<u8> {
    let mut arp = Vec::from([0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(PEER);
    arp.extend([10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    ethernet(0x0806, &arp)
}

fn ping() -> Vec<u8> {
    let mut icmp = Vec::from([8, 0, 0, 0, 0x12, 0x34, 0, 1]);
    icmp.extend(b"florizel");
    let check = sum(&icmp).to_be_bytes();
    icmp[2..4].copy_from_slice(&check);
    let length = 20 + icmp.len() as u8;
    let mut ip = Vec::from([
        0x45, 0, 0, length, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
    ]);
    let check = sum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&check);
    ip.extend(icmp);
    ethernet(0x0800, &ip)
}

#[test]
fn a_static_address_answers_pings() {
    let (mut host, pool) = host(fixed());
    for (request, kind) in [(arp(), 0x0806), (ping(), 0x0800)] {
        host.send(pool.copy_of(&request).unwrap()).unwrap();
        host.poll(SETTLED_MS + 1);
        let reply = take(&mut host, kind).unwrap();
        assert_eq!(&reply[..6], PEER);
        if kind == 0x0800 {
            assert_eq!(reply[34], 0);
            assert_eq!(&reply[42..50], b"florizel");
        }
    }
    while host.take().is_some() {}
    assert_eq!(pool.available(), 8);
}

#[test]
fn a_flood_is_bounded_and_costs_no_buffer() {
    let (mut host, _) = host(fixed());
    let pool = Pool::ordinary(200, 256);
    let lost = (0..200)
        .filter(|_| host.send(pool.copy_of(&ping()).unwrap()).is_err())
        .count();
    assert_eq!(lost, 200 - 64);
    for step in 1..100 {
        host.poll(SETTLED_MS + step);
        while host.take().is_some() {}
    }
    assert_eq!(pool.available(), 200);
}

fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let length = (20 + 8 + payload.len()) as u16;
    let mut ip = Vec::from([0x45, 0]);
    ip.extend(length.to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend(from.0);
    ip.extend(to.0);
    let check = sum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&check);
    ip.extend(from.1.to_be_bytes());
    ip.extend(to.1.to_be_bytes());
    ip.extend((length - 20).to_be_bytes());
    // No checksum.
    ip.extend([0, 0]);
    ip.extend(payload);
    ethernet(0x0800, &ip)
}

#[test]
fn a_closed_port_is_unreachable() {
    let (mut host, pool) = host(fixed());
    give(&mut host, pool, &arp(), SETTLED_MS);
    while host.take().is_some() {}
    let knock = udp(([10, 0, 0, 2], 9), ([10, 0, 0, 1], 7), b"knock");
    give(&mut host, pool, &knock, SETTLED_MS);
    let error = take(&mut host, 0x0800).unwrap();
    // RFC 792: destination unreachable, port; with what was sent.
    assert_eq!((error[23], error[34], error[35]), (1, 3, 3));
    assert!(error.windows(5).any(|bytes| bytes == b"knock"));
}

/// Lets time pass until the host says something by IPv4 that `wanted` takes.
fn wait(host: &mut Host, now_ms: &mut u64, mut wanted: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    for _ in 0..1000 {
        host.poll(*now_ms);
        while let Some(frame) = take(host, 0x0800) {
            if wanted(&frame) {
                return frame;
            }
        }
        *now_ms += host.next_ms(*now_ms).unwrap_or(1000).max(1);
    }
    panic!("nothing more is said");
}

fn is_to(port: u16) -> impl FnMut(&[u8]) -> bool {
    move |frame| frame[23] == 17 && frame[36..38] == port.to_be_bytes()
}

const FOUND_MS: u64 = 1200;

/// Frames of IPv6 that the host sends meanwhile.
fn said_within(host: &mut Host, times_ms: core::ops::Range<u64>) -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    for now_ms in times_ms {
        host.poll(now_ms);
        said.extend(core::iter::from_fn(|| take(host, 0x86dd)));
    }
    said
}
