//! The log, and the name.

use super::*;

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
