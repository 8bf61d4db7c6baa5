//! IPv6: what routers give, and whose addresses are.

use super::*;

/// RFC 4861, 4.2: a router and the prefix of the link.
fn advertisement() -> Vec<u8> {
    let mut icmp = Vec::from([134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]);
    icmp.extend([3, 4, 64, 0xc0]);
    icmp.extend(3600_u32.to_be_bytes());
    icmp.extend(1800_u32.to_be_bytes());
    icmp.extend([0; 4]);
    icmp.extend([0xfd, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    ipv6(
        [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        icmp,
        255,
    )
}

fn ipv6(to: [u8; 16], mut icmp: Vec<u8>, hops: u8) -> Vec<u8> {
    let from = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let mut pseudo = Vec::from(from);
    pseudo.extend(to);
    pseudo.extend((icmp.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    pseudo.extend(&icmp);
    let check = sum(&pseudo).to_be_bytes();
    icmp[2..4].copy_from_slice(&check);
    let mut ip = Vec::from([0x60, 0, 0, 0]);
    ip.extend((icmp.len() as u16).to_be_bytes());
    ip.extend([58, hops]);
    ip.extend(from);
    ip.extend(to);
    ip.extend(icmp);
    ethernet(0x86dd, &ip)
}

#[test]
fn routers_give_addresses_of_ipv6_which_answer() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    let addresses = |host: &Host| host.v6_addresses().collect::<Vec<_>>();
    let link: Ipv6Addr = LINK_ADDRESS.parse().unwrap();
    let given: Ipv6Addr = "fd00:0:0:7:0:ff:fe00:1".parse().unwrap();
    let said = said_within(&mut host, 0..FOUND_MS);
    assert_eq!(addresses(&host), [link]);
    // A router, and whether the address is somebody's.
    assert_eq!(kinds(&said), [133, 135, 135]);
    give(&mut host, pool, &advertisement(), FOUND_MS);
    assert_eq!(addresses(&host), [link], "nobody was asked yet");
    let said = said_within(&mut host, FOUND_MS..2 * FOUND_MS);
    assert_eq!(kinds(&said), [135, 135]);
    assert_eq!(addresses(&host), [link, given]);
    for address in [link, given] {
        // The peer says where it is, then pings.
        let mut solicitation = Vec::from([135, 0, 0, 0, 0, 0, 0, 0]);
        solicitation.extend(address.octets());
        solicitation.extend([1, 1]);
        solicitation.extend(PEER);
        give(
            &mut host,
            pool,
            &ipv6(address.octets(), solicitation, 255),
            2 * FOUND_MS,
        );
        let advertised = take(&mut host, 0x86dd).unwrap();
        assert_eq!(advertised[54], 136);
        let ping = Vec::from([128, 0, 0, 0, 0, 1, 0, 2, b'h', b'i']);
        let ping = ipv6(address.octets(), ping, 64);
        give(&mut host, pool, &ping, 2 * FOUND_MS);
        let pong = take(&mut host, 0x86dd).unwrap();
        assert_eq!((pong[54], &pong[62..64]), (129, &b"hi"[..]));
    }
}

/// The host's address on the link, and when it knows that it is nobody else's.
const LINK_ADDRESS: &str = "fe80::ff:fe00:1";

fn is_about_neighbours(frame: &[u8], kind: u8) -> bool {
    frame[20] == 58 && frame[54] == kind
}

/// Types of those that are about neighbours and routers.
fn kinds(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut kinds: Vec<_> = frames
        .iter()
        .filter(|frame| (133..138).any(|kind| is_about_neighbours(frame, kind)))
        .map(|frame| frame[54])
        .collect();
    kinds.sort();
    kinds
}

/// Somebody says that an address is theirs.
fn advertised(address: Ipv6Addr) -> Vec<u8> {
    let mut advertisement = Vec::from([136, 0, 0, 0, 0x20, 0, 0, 0]);
    advertisement.extend(address.octets());
    advertisement.extend([2, 1]);
    advertisement.extend(PEER);
    let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    ipv6(everybody.octets(), advertisement, 255)
}

/// Addresses that a question asks for.
fn asked_for(frames: &[Vec<u8>]) -> Vec<Ipv6Addr> {
    let questions = frames
        .iter()
        .filter(|frame| is_about_neighbours(frame, 135));
    let mut asked: Vec<_> = questions
        .map(|frame| Ipv6Addr::from(*frame[62..].first_chunk::<16>().unwrap()))
        .collect();
    asked.dedup();
    asked
}

/// Groups that are said to have listeners now, and those that have none any more.
fn reported(frames: &[Vec<u8>]) -> Vec<(bool, Ipv6Addr)> {
    let reports = frames
        .iter()
        .filter(|frame| frame[20] == 0 && frame[62] == 143);
    let record = |frame: &Vec<u8>| {
        let group = *frame[74..].first_chunk::<16>().unwrap();
        (frame[70] == 4, group.into())
    };
    reports.map(record).collect()
}

#[test]
fn another_address_is_tried_where_one_is_somebody_elses() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    let link: Ipv6Addr = LINK_ADDRESS.parse().unwrap();
    host.poll(0);
    give(&mut host, pool, &advertised(link), 10);
    let conflict = host.take_conflict().unwrap();
    assert_eq!(
        (conflict.address, conflict.station),
        (link.into(), Mac(PEER))
    );
    assert_eq!(conflict.outcome, Outcome::Replaced);
    let said = said_within(&mut host, 10..10 + FOUND_MS);
    let [other] = asked_for(&said)[..] else {
        panic!("{said:?}");
    };
    assert_eq!(host.v6_addresses().collect::<Vec<_>>(), [other]);
    assert!(other != link && other.segments()[..4] == link.segments()[..4]);
    // That address of the card's own is asked for again where it may be nobody's.
    host.link_came_up(20_000);
    let said = said_within(&mut host, 20_000..20_000 + FOUND_MS);
    assert_eq!(host.v6_addresses().collect::<Vec<_>>(), [link]);
    let (old, new) = (ndisc::group(other), ndisc::group(link));
    assert_eq!(
        reported(&said),
        [(false, old), (true, new), (true, new), (true, new)]
    );
    // The answer was long on its way.
    give(&mut host, pool, &advertised(link), 25_000);
    assert_eq!(host.v6_addresses().count(), 0);
    assert_eq!(host.take_conflict().unwrap().outcome, Outcome::Replaced);
}

#[test]
fn who_has_every_address_of_ipv6_is_left_alone() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    let (mut outcomes, mut seen) = (Vec::new(), Vec::new());
    for now_ms in 0..20_000 {
        host.poll(now_ms);
        let said: Vec<_> = core::iter::from_fn(|| take(&mut host, 0x86dd)).collect();
        for address in asked_for(&said) {
            seen.push(address);
            give(&mut host, pool, &advertised(address), now_ms);
        }
        // Nobody has an address to ask routers by.
        assert!(said.iter().all(|frame| frame[22..38] == [0; 16]));
        outcomes.extend(host.take_conflict().map(|conflict| conflict.outcome));
    }
    assert_eq!(outcomes[..3], [Outcome::Replaced; 3]);
    assert_eq!(outcomes[3..], [Outcome::Left]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(host.v6_addresses().count(), 0);
}

#[test]
fn a_switch_hears_of_the_group_before_anybody_is_asked() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    let said = said_within(&mut host, 0..FOUND_MS);
    let group = ndisc::group(LINK_ADDRESS.parse().unwrap());
    // With each question, and by the address that came of it.
    assert_eq!(reported(&said), [(true, group); 3]);
    let place = |wanted: &dyn Fn(&Vec<u8>) -> bool| said.iter().position(wanted).unwrap();
    let question = place(&|frame| is_about_neighbours(frame, 135));
    assert!(place(&|frame| frame[20] == 0) < question);
    let last = said.iter().rfind(|frame| frame[20] == 0).unwrap();
    let link: Ipv6Addr = LINK_ADDRESS.parse().unwrap();
    assert_eq!(last[22..38], link.octets());
}

#[test]
fn who_asks_for_an_address_of_ipv6_of_the_hosts_is_told() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    said_within(&mut host, 0..FOUND_MS);
    let link: Ipv6Addr = LINK_ADDRESS.parse().unwrap();
    let mut packet = pool.packet().unwrap();
    ndisc::ask(&mut packet, Mac(PEER), link);
    let question = packet.frame().to_vec();
    give(&mut host, pool, &question, FOUND_MS);
    let answer = take(&mut host, 0x86dd).unwrap();
    assert_eq!(answer[54], 136);
    assert_eq!(answer[62..78], link.octets());
    assert_eq!(host.v6_addresses().collect::<Vec<_>>(), [link]);
    assert_eq!(host.take_conflict(), None);
}

#[test]
fn an_advertisement_that_says_it_again_is_no_news() {
    let (mut slaac, frame) = (Slaac::new(), advertisement());
    assert!(slaac.hear(&frame[14..], 0));
    assert!(!slaac.hear(&frame[14..], 5_000));
    // It holds longer all the same.
    assert_eq!(slaac.next_ms(5_000), Some(1_800_000));
}
