//! The IPv4 address: asked for, claimed, refused, lost.

use super::*;

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
