//! What becomes of frames: fragments, offloads, addresses that stay inside; and any frames.

use super::*;

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
