//! The control queue: filters, addresses, VLANs, offloads, several queues, announcements.

use super::*;

#[test]
fn commands_set_filters_and_address() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX | CONTROL_VLAN | CONTROL_MAC);
    let other = [2, 0, 0, 0, 0, 9];
    guest.offer(RX, 8, 2000);
    let arrives = |guest: &mut Guest, frame: &[u8]| {
        guest.arrive(frame);
        guest.rings[RX].pop(&guest.machine.memory).is_some()
    };
    assert!(arrives(&mut guest, &frame(other, 60)));
    assert_eq!(
        guest.command(PLAIN_CONTROL, &[0, 0, 0]),
        0,
        "not promiscuous"
    );
    assert!(!arrives(&mut guest, &frame(other, 60)));
    let mut table = vec![1, 0, 1, 0, 0, 0];
    table.extend(other);
    table.extend([0; 4]);
    assert_eq!(guest.command(PLAIN_CONTROL, &table), 0);
    assert!(arrives(&mut guest, &frame(other, 60)));
    let mut address = vec![1, 1];
    address.extend([2, 0, 0, 0, 0, 0xa]);
    assert_eq!(guest.command(PLAIN_CONTROL, &address), 0);
    assert!(!arrives(&mut guest, &frame(MAC, 60)));
    let low = guest
        .driver
        .read(&mut guest.machine, Modern::DEVICE, 2, Width::Dword);
    assert_eq!(low, 0x0a00_0000);
    let mut tagged = frame([0xff; 6], 60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    assert!(!arrives(&mut guest, &tagged));
    assert_eq!(guest.command(PLAIN_CONTROL, &[2, 0, 5, 0]), 0);
    assert!(arrives(&mut guest, &tagged));
}

/// Whether frames arrive for the card, another station, a group, everybody, and for everybody in a VLAN.
fn heard(guest: &mut Guest) -> [bool; 5] {
    let mut tagged = frame([0xff; 6], 60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    [
        frame(MAC, 60),
        frame([2, 0, 0, 0, 0, 9], 60),
        frame([1, 0, 0x5e, 0, 0, 1], 60),
        frame([0xff; 6], 60),
        tagged,
    ]
    .map(|frame| {
        guest.offer(RX, 1, 2000);
        guest.arrive(&frame);
        let came = guest.rings[RX].pop(&guest.machine.memory).is_some();
        if !came {
            // The buffer is used up, so that each frame has one.
            guest.command(PLAIN_CONTROL, &[0, 0, 1]);
            guest.arrive(&frame);
            assert!(guest.rings[RX].pop(&guest.machine.memory).is_some());
            guest.command(PLAIN_CONTROL, &[0, 0, 0]);
        }
        came
    })
}

#[test]
fn each_receive_mode_is_turned_on_and_off() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX | CONTROL_RX_EXTRA);
    assert_eq!(guest.command(PLAIN_CONTROL, &[0, 0, 0]), 0);
    let plain = [true, false, false, true, true];
    assert_eq!(heard(&mut guest), plain);
    for (mode, expected) in [
        (0, [true; 5]),
        (1, [true, false, true, true, true]),
        (2, [true, true, false, true, true]),
        (3, plain),
        (4, [false, false, false, true, true]),
        (5, [true, false, false, false, false]),
    ] {
        assert_eq!(guest.command(PLAIN_CONTROL, &[0, mode, 1]), 0);
        // In the promiscuous mode everything is heard; the helper leaves it off.
        assert_eq!(heard(&mut guest), expected, "mode {mode}");
        assert_eq!(guest.command(PLAIN_CONTROL, &[0, mode, 0]), 0);
        assert_eq!(heard(&mut guest), plain, "mode {mode} off");
    }
    // All groups but none of them: the latter wins (5.1.6.5.1).
    assert_eq!(guest.command(PLAIN_CONTROL, &[0, 1, 1]), 0);
    assert_eq!(guest.command(PLAIN_CONTROL, &[0, 3, 1]), 0);
    assert_eq!(heard(&mut guest), plain);
}

#[test]
fn vlans_come_and_go() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX | CONTROL_VLAN);
    guest.offer(RX, 3, 2000);
    let mut tagged = frame([0xff; 6], 60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    let hears = |guest: &mut Guest| {
        guest.arrive(&tagged);
        guest.rings[RX].pop(&guest.machine.memory).is_some()
    };
    // Also where everybody's are taken.
    for promiscuous in [1, 0] {
        let mode = [0, 0, promiscuous];
        assert_eq!(guest.command(PLAIN_CONTROL, &mode), 0);
        assert!(!hears(&mut guest));
        assert_eq!(guest.command(PLAIN_CONTROL, &[2, 0, 5, 0]), 0);
        assert!(hears(&mut guest));
        assert_eq!(guest.command(PLAIN_CONTROL, &[2, 1, 5, 0]), 0);
        assert!(!hears(&mut guest));
    }
    assert_eq!(
        guest.command(PLAIN_CONTROL, &[2, 0, 0, 0x10]),
        1,
        "there is no VLAN 4096"
    );
}

#[test]
fn what_the_driver_takes_can_be_changed_within_what_it_agreed_to() {
    let mut guest = Guest::new(CONTROL | GUEST_OFFLOADS | GUEST_CHECKSUM | GUEST_TSO4);
    let mut set = |offloads: u64| {
        let mut command = vec![5, 0];
        command.extend(offloads.to_le_bytes());
        guest.command(PLAIN_CONTROL, &command)
    };
    assert_eq!(set(0), 0);
    assert_eq!(set(GUEST_CHECKSUM), 0);
    assert_eq!(set(GUEST_CHECKSUM | GUEST_TSO4), 0);
    assert_eq!(set(GUEST_CHECKSUM | 1 << 8), 1, "IPv6 was not agreed to");
    assert_eq!(set(MERGEABLE), 1, "that is none");
}

#[test]
fn commands_of_features_that_were_not_agreed_to_are_refused() {
    let mut guest = Guest::new(CONTROL);
    for bad in [
        &[0, 0, 1][..],
        &[0, 1, 1],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 1, 2, 0, 0, 0, 0, 3],
        &[2, 0, 5, 0],
        &[2, 1, 5, 0],
        &[3, 0, 0],
        &[4, 0, 1, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(guest.command(PLAIN_CONTROL, bad), 1, "{bad:?}");
    }
}

#[test]
fn unknown_and_short_commands_are_refused() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX);
    for bad in [
        &[9, 0, 0][..],
        &[0, 6, 1],
        &[0, 2, 1],
        &[1, 0, 9, 0],
        &[1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[1, 1, 2, 0, 0, 0, 0, 3],
        &[2, 0, 5],
        &[4, 0, 2, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(guest.command(PLAIN_CONTROL, bad), 1, "{bad:?}");
    }
}

#[test]
fn answers_come_in_on_the_queue_that_asked() {
    let mut guest = Guest::new(CONTROL | MULTIQUEUE);
    guest.offer(RX, 1, 2000);
    let ring = &mut guest.rings[2];
    ring.add(&guest.machine.memory, &[Buffer::Out(DATA + 0x4000, 2000)]);
    assert_eq!(guest.command(LAST, &[4, 0, 3, 0]), 1, "there are two");
    assert_eq!(guest.command(LAST, &[4, 0, 0, 0]), 1);
    assert_eq!(guest.command(LAST, &[4, 0, 2, 0]), 0);
    let mut udp = frame(MAC, 60);
    udp[12..15].copy_from_slice(&[8, 0, 0x45]);
    udp[20..22].fill(0);
    udp[23] = 17;
    guest.machine.memory.write(Gpa(DATA), &[0; 12]).unwrap();
    guest.machine.memory.write(Gpa(DATA + 12), &udp).unwrap();
    guest.rings[3].add(&guest.machine.memory, &[Buffer::In(DATA, 72)]);
    guest.driver.kick(&mut guest.machine, &guest.rings[3]);
    assert_eq!(guest.cable.frames().len(), 1);
    let mut answer = udp.clone();
    answer[26..30].copy_from_slice(&udp[30..34]);
    answer[30..34].copy_from_slice(&udp[26..30]);
    answer[34..36].copy_from_slice(&udp[36..38]);
    answer[36..38].copy_from_slice(&udp[34..36]);
    guest.arrive(&answer);
    assert_eq!(guest.rings[2].pop(&guest.machine.memory), Some((0, 72)));
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), None);
}

#[test]
fn a_card_that_moved_asks_to_be_announced() {
    use hvm::device::Lifecycle;
    let mut guest = Guest::new(CONTROL | STATUS | ANNOUNCE);
    guest.machine.function.pause();
    let state = guest.machine.function.save();
    guest.machine.function.restore(&state).unwrap();
    assert_eq!(guest.machine.function.save(), state);
    guest.machine.function.resume();
    guest.machine.poll();
    let status = |guest: &mut Guest| {
        guest
            .driver
            .read(&mut guest.machine, Modern::DEVICE, 6, Width::Word)
    };
    assert_eq!(status(&mut guest), 3);
    assert_eq!(guest.command(PLAIN_CONTROL, &[3, 0, 0]), 0);
    assert_eq!(status(&mut guest), 1);
}
