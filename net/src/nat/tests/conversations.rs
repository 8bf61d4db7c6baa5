//! Datagrams and connections: whose ports they have, and when they end.

use super::*;

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
