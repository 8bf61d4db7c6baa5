//! What the router answers itself, and what it tells of others: names, pings, errors.

use super::*;

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
