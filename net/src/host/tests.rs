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
fn dhcp_is_asked_again_and_again() {
    let (mut host, _) = host(Setup::Dhcp);
    host.poll(0);
    let discover = take(&mut host, 0x0800).unwrap();
    assert_eq!(&discover[..6], [0xff; 6]);
    assert_eq!(host.lease(), None);
    let mut now_ms = 0;
    for _ in 0..3 {
        let again = loop {
            now_ms += host.next_ms(now_ms).unwrap().max(1);
            host.poll(now_ms);
            if let Some(frame) = take(&mut host, 0x0800) {
                break frame;
            }
        };
        assert_eq!(&again[..6], [0xff; 6]);
    }
    assert!((3000..=100_000).contains(&now_ms), "{now_ms}");
}

#[test]
fn a_host_that_waits_for_its_address_rests() {
    let (mut host, _) = host(Setup::Dhcp);
    host.ask_time_of(Ipv4Addr::new(10, 0, 0, 2).into());
    let mut now_ms = 0;
    let mut turns = 0;
    while now_ms < 60_000 {
        host.poll(now_ms);
        while host.take().is_some() {}
        now_ms += host.next_ms(now_ms).unwrap().max(1);
        turns += 1;
    }
    assert!(turns < 50, "{turns} turns in a minute");
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

/// A server's answer of this kind, with a lease of `lease_s` and a time server.
fn dhcp(discover: &[u8], kind: u8, lease_s: u32) -> Vec<u8> {
    let mut bootp = std::vec![0; 236];
    bootp[..4].copy_from_slice(&[2, 1, 6, 0]);
    bootp[4..8].copy_from_slice(&discover[46..50]);
    bootp[16..20].copy_from_slice(&[10, 0, 0, 15]);
    bootp[28..34].copy_from_slice(&MAC.0);
    bootp.extend([0x63, 0x82, 0x53, 0x63]);
    bootp.extend([53, 1, kind, 54, 4, 10, 0, 0, 2, 51, 4]);
    bootp.extend(lease_s.to_be_bytes());
    bootp.extend([
        1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2, 42, 4, 10, 0, 0, 2, 255,
    ]);
    let mut frame = udp(([10, 0, 0, 2], 67), ([10, 0, 0, 15], 68), &bootp);
    frame[..6].copy_from_slice(&[0xff; 6]);
    frame
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

/// Nobody says that the address is theirs.
fn claim(host: &mut Host, now_ms: &mut u64) -> Lease {
    for _ in 0..50 {
        host.poll(*now_ms);
        if let Some(lease) = host.lease() {
            return lease;
        }
        *now_ms += host.next_ms(*now_ms).unwrap().max(1);
    }
    panic!("the address is not taken");
}

/// Somebody says that 10.0.0.`last` is theirs.
fn theirs(last: u8) -> Vec<u8> {
    let mut reply = Vec::from([0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend(PEER);
    reply.extend([10, 0, 0, last]);
    reply.extend(MAC.0);
    reply.extend([0; 4]);
    ethernet(0x0806, &reply)
}

#[test]
fn a_leased_address_of_somebody_elses_is_refused_and_another_asked_for() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    let mut now_ms = 0;
    let discover = wait(&mut host, &mut now_ms, is_to(67));
    give(&mut host, pool, &dhcp(&discover, 2, 100), now_ms);
    let request = wait(&mut host, &mut now_ms, is_to(67));
    give(&mut host, pool, &dhcp(&request, 5, 100), now_ms);
    assert_eq!(host.lease(), None, "nobody was asked yet");
    give(&mut host, pool, &theirs(15), now_ms);
    let refused_ms = now_ms;
    let refusal = take(&mut host, 0x0800).unwrap();
    // RFC 2131: DHCPDECLINE of the address, to its server.
    assert_eq!(refusal[282..285], [53, 1, 4]);
    assert_eq!(refusal[285..291], [50, 4, 10, 0, 0, 15]);
    assert_eq!(refusal[291..297], [54, 4, 10, 0, 0, 2]);
    let conflict = host.take_conflict().unwrap();
    assert_eq!(conflict.address, Ipv4Addr::new(10, 0, 0, 15));
    assert_eq!(conflict.station, Mac(PEER));
    assert_eq!(conflict.outcome, Outcome::GivenUp);
    let again = wait(&mut host, &mut now_ms, is_to(67));
    assert_eq!(again[282..285], [53, 1, 1], "a new discovery");
    assert!((10_000..11_000).contains(&(now_ms - refused_ms)));
    give(&mut host, pool, &dhcp(&again, 2, 100), now_ms);
    let request = wait(&mut host, &mut now_ms, is_to(67));
    give(&mut host, pool, &dhcp(&request, 5, 100), now_ms);
    claim(&mut host, &mut now_ms);
}

#[test]
fn a_static_address_of_somebody_elses_is_tried_again() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, fixed(), pool, 1, 0);
    for now_ms in 0..5000 {
        host.poll(now_ms);
    }
    assert_eq!(host.lease(), None, "there is no cable");
    host.link_came_up(0);
    host.poll(1);
    give(&mut host, pool, &theirs(1), 2);
    assert_eq!(host.take_conflict().unwrap().outcome, Outcome::GivenUp);
    let mut now_ms = 2;
    claim(&mut host, &mut now_ms);
    assert!((10_000..12_000).contains(&now_ms), "{now_ms}");
    // An answer that was long on its way.
    give(&mut host, pool, &theirs(1), now_ms + 1000);
    assert_eq!(host.take_conflict().unwrap().outcome, Outcome::GivenUp);
    assert!(host.lease().is_none());
    now_ms += 1000;
    claim(&mut host, &mut now_ms);
    // Then it is ours, and whoever claims it later is told so.
    while host.take().is_some() {}
    give(&mut host, pool, &theirs(1), now_ms + 15_000);
    let conflict = host.take_conflict().unwrap();
    assert_eq!(conflict.outcome, Outcome::Kept);
    let announcement = take(&mut host, 0x0806).unwrap();
    assert_eq!(announcement[..6], [0xff; 6]);
    assert_eq!(announcement[28..32], [10, 0, 0, 1]);
    assert!(host.lease().is_some());
}

/// A peer that answers to its address, when it is asked.
fn tell_peer(host: &mut Host, pool: &'static Pool, now_ms: u64) {
    let mut reply = Vec::from([0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend(PEER);
    reply.extend([10, 0, 0, 2]);
    reply.extend(MAC.0);
    reply.extend([10, 0, 0, 15]);
    give(host, pool, &ethernet(0x0806, &reply), now_ms);
}

#[test]
fn a_lease_is_taken_renewed_and_lost_and_its_time_server_asked() {
    let pool = Pool::ordinary(64, 2048);
    let mut host = Host::new(MAC, Setup::Dhcp, pool, 1, 0);
    host.introduce("Florizel");
    // With another address the stack forgets its neighbours, so the link's is there before.
    said_within(&mut host, 0..FOUND_MS);
    let mut now_ms = FOUND_MS;
    let discover = wait(&mut host, &mut now_ms, is_to(67));
    assert!(
        discover
            .windows(10)
            .any(|bytes| bytes == b"\x0c\x08florizel")
    );
    give(&mut host, pool, &dhcp(&discover, 2, 100), now_ms);
    let request = wait(&mut host, &mut now_ms, is_to(67));
    give(&mut host, pool, &dhcp(&request, 5, 100), now_ms);
    let lease = claim(&mut host, &mut now_ms);
    assert_eq!(std::format!("{lease}"), "10.0.0.15/24 by 10.0.0.2");
    tell_peer(&mut host, pool, now_ms);
    // The address is announced by name, and the time asked for.
    let mut announced = false;
    let question = wait(&mut host, &mut now_ms, |frame| {
        announced |= frame.windows(8).any(|bytes| bytes == b"florizel");
        is_to(123)(frame)
    });
    let mut answer = std::vec![0; 48];
    answer[..2].copy_from_slice(&[0x24, 2]);
    answer[24..32].copy_from_slice(&question[82..90]);
    answer[40..44].copy_from_slice(&0xe000_0000_u32.to_be_bytes());
    let port = u16::from_be_bytes([question[34], question[35]]);
    let answer = udp(([10, 0, 0, 2], 123), ([10, 0, 0, 15], port), &answer);
    give(&mut host, pool, &answer, now_ms);
    assert_eq!(
        host.clock().unwrap().unix_ms(now_ms) / 1000,
        0xe000_0000 - 2_208_988_800
    );
    wait(&mut host, &mut now_ms, |frame| {
        announced |= frame.windows(8).any(|bytes| bytes == b"florizel");
        is_to(67)(frame)
    });
    assert!(announced);
    // Renewed after half of it, from the address that it has.
    assert!((40_000..70_000).contains(&now_ms), "{now_ms}");
    let renewal = wait(&mut host, &mut now_ms, is_to(67));
    assert_eq!(renewal[26..30], [10, 0, 0, 15]);
    give(&mut host, pool, &dhcp(&renewal, 5, 100), now_ms);
    assert_eq!(host.lease(), Some(lease));
    let renewed_ms = now_ms;
    // Nobody answers any more.
    let wait_for_loss = |frame: &[u8]| is_to(67)(frame) && frame[26..30] == [0; 4];
    wait(&mut host, &mut now_ms, wait_for_loss);
    assert_eq!(host.lease(), None);
    assert!(
        (90_000..200_000).contains(&(now_ms - renewed_ms)),
        "{now_ms}"
    );
}

#[test]
fn lines_of_the_log_go_to_their_server() {
    let (mut host, pool) = host(fixed());
    host.introduce("florizel");
    assert!(!host.takes_lines());
    host.log_to("10.0.0.2:514".parse().unwrap());
    assert!(host.takes_lines());
    host.log(syslog::Severity::Error, "no guest: why", 0, SETTLED_MS);
    give(&mut host, pool, &arp(), SETTLED_MS);
    let mut now_ms = SETTLED_MS;
    let message = wait(&mut host, &mut now_ms, is_to(514));
    assert_eq!(
        &message[42..],
        b"<27>1 - florizel monovisor - - - no guest: why"
    );
    let mut lines = 0;
    while host.takes_lines() {
        host.log(syslog::Severity::Info, "again", 0, now_ms);
        lines += 1;
    }
    assert!((1..100).contains(&lines), "{lines}");
}

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

/// Types of those that are about neighbours and routers.
fn kinds(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut kinds: Vec<_> = frames
        .iter()
        .filter(|frame| frame[20] == 58 && (133..138).contains(&frame[54]))
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

#[test]
fn an_address_of_ipv6_that_is_somebody_elses_is_not_used() {
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
    assert_eq!(conflict.outcome, Outcome::Left);
    let said = said_within(&mut host, 10..20_000);
    assert_eq!(host.v6_addresses().count(), 0);
    // It is asked for no more; routers are, by nobody.
    let rest = kinds(&said);
    assert!(rest.iter().all(|kind| *kind == 133), "{rest:?}");
    assert!(said.iter().all(|frame| frame[22..38] == [0; 16]));
    // Elsewhere it may be nobody's.
    host.link_came_up(20_000);
    said_within(&mut host, 20_000..20_000 + FOUND_MS);
    assert_eq!(host.v6_addresses().collect::<Vec<_>>(), [link]);
    // The answer was long on its way.
    give(&mut host, pool, &advertised(link), 25_000);
    assert_eq!(host.v6_addresses().count(), 0);
    assert_eq!(host.take_conflict().unwrap().outcome, Outcome::Left);
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
fn a_host_without_addresses_says_nothing() {
    let (mut host, _) = host(Setup::Off);
    host.introduce("florizel");
    host.poll(0);
    host.poll(5000);
    assert!(host.take().is_none());
    assert_eq!(host.v6_addresses().count(), 0);
}

/// What of a frame is a message of multicast DNS.
fn named(frame: &[u8]) -> Option<&[u8]> {
    (frame[12..14] == [8, 0] && is_to(5353)(frame)).then(|| &frame[42..])
}

#[test]
fn a_name_that_is_taken_is_given_up_for_the_next() {
    let (mut host, pool) = host(fixed());
    host.introduce("florizel");
    give(&mut host, pool, &arp(), SETTLED_MS);
    let mut now_ms = SETTLED_MS;
    let probe = |host: &mut Host, now_ms: &mut u64| {
        let frame = wait(host, now_ms, |frame| {
            named(frame).is_some_and(|message| message[2] & 0x80 == 0)
        });
        named(&frame).unwrap()[13..13 + usize::from(named(&frame).unwrap()[12])].to_vec()
    };
    assert_eq!(probe(&mut host, &mut now_ms), b"florizel");
    // Somebody has it.
    let theirs = [IpAddr::from([10, 0, 0, 2])];
    let mut message = Vec::new();
    mdns::announce(host.name().unwrap(), &theirs, &mut message);
    let answer = udp(([10, 0, 0, 2], 5353), ([224, 0, 0, 251], 5353), &message);
    let mut frame = answer.clone();
    frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 0xfb]);
    give(&mut host, pool, &frame, now_ms);
    let taken_ms = now_ms;
    for _ in 0..3 {
        assert_eq!(probe(&mut host, &mut now_ms), b"florizel-2");
    }
    // Nobody has that, so it is ours from a quarter of a second later on.
    let announced = wait(&mut host, &mut now_ms, |frame| {
        named(frame).is_some_and(|message| message[2] & 0x80 != 0)
    });
    assert_eq!(&named(&announced).unwrap()[12..23], b"\x0aflorizel-2");
    assert!((1000..1300).contains(&(now_ms - taken_ms)), "{now_ms}");
    assert_eq!(host.name().unwrap().as_str(), "florizel-2");
    // Another one who wants it is told.
    while host.take().is_some() {}
    let group = |payload: &[u8]| {
        let mut frame = udp(([10, 0, 0, 2], 5353), ([224, 0, 0, 251], 5353), payload);
        frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 0xfb]);
        frame
    };
    message.clear();
    mdns::probe(host.name().unwrap(), &theirs, &mut message);
    give(&mut host, pool, &group(&message), now_ms);
    let defence = take(&mut host, 0x0800).unwrap();
    assert_eq!(defence[30..34], [10, 0, 0, 2]);
    let told = named(&defence).unwrap();
    assert_ne!(told[2] & 0x80, 0);
    assert!(told.windows(4).any(|bytes| bytes == [10, 0, 0, 1]));
    // Nobody from elsewhere, and nobody from another port, has a say.
    message.clear();
    mdns::announce(host.name().unwrap(), &theirs, &mut message);
    for (from, to) in [
        (([203, 0, 113, 9], 5353), ([10, 0, 0, 1], 5353)),
        (([10, 0, 0, 2], 4444), ([10, 0, 0, 1], 5353)),
    ] {
        give(&mut host, pool, &udp(from, to, &message), now_ms);
        for later_ms in 0..2000 {
            host.poll(now_ms + later_ms);
            while let Some(packet) = host.take() {
                let question = named(packet.frame()).is_some_and(|message| message[2] & 0x80 == 0);
                assert!(!question, "{from:?}");
            }
        }
    }
    assert_eq!(host.name().unwrap().as_str(), "florizel-2");
}

#[test]
fn an_advertisement_that_says_it_again_is_no_news() {
    let (mut slaac, frame) = (Slaac::new(MAC), advertisement());
    assert!(slaac.hear(&frame[14..], 0));
    assert!(!slaac.hear(&frame[14..], 5_000));
    // It holds longer all the same.
    assert_eq!(slaac.next_ms(5_000), Some(1_800_000));
}
