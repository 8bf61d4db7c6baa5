use super::*;
use address::Address;
use std::vec::Vec;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn host(setup: Setup) -> (Host, &'static Pool) {
    let pool = Pool::ordinary(8, 2048);
    (Host::new(MAC, setup, pool, 1, 0), pool)
}

fn fixed() -> Setup {
    Setup::Static(Address {
        address: Ipv4Addr::new(10, 0, 0, 1),
        prefix_bits: 24,
        gateway: None,
    })
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
        host.poll(1);
        let reply = host.take().unwrap();
        assert_eq!(&reply.frame()[..6], PEER);
        assert_eq!(reply.frame()[12..14], u16::to_be_bytes(kind));
        if kind == 0x0800 {
            assert_eq!(reply.frame()[34], 0);
            assert_eq!(&reply.frame()[42..50], b"florizel");
        }
    }
    assert!(host.take().is_none());
    assert_eq!(pool.available(), 8);
}

#[test]
fn dhcp_is_asked_again_and_again() {
    let (mut host, _) = host(Setup::Dhcp);
    host.poll(0);
    let discover = host.take().unwrap();
    assert_eq!(&discover.frame()[..6], [0xff; 6]);
    assert_eq!(host.lease(), None);
    let wait_ms = host.next_ms(0).unwrap();
    assert!((1000..=20_000).contains(&wait_ms), "{wait_ms}");
    host.poll(wait_ms);
    assert!(host.take().is_some());
}

#[test]
fn a_flood_is_bounded_and_costs_no_buffer() {
    let (mut host, _) = host(fixed());
    let pool = Pool::ordinary(200, 256);
    let lost = (0..200)
        .filter(|_| host.send(pool.copy_of(&ping()).unwrap()).is_err())
        .count();
    assert_eq!(lost, 200 - 64);
    host.poll(1);
    while host.take().is_some() {}
    host.poll(2);
    while host.take().is_some() {}
    for step in 3..100 {
        host.poll(step);
        while host.take().is_some() {}
    }
    assert_eq!(pool.available(), 200);
}
